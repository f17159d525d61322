// Longest cached prefix first.
#pragma once
#include "policies/policy_abi.h"

namespace troupe {

// As FCFS, but those that wait are admitted by the number of their tokens whose KV is cached, most first:
// what is cached is used before it is evicted (the order of SGLang's RadixAttention, Zheng et al. 2024,
// section 3.2). Those that wait longer than max_wait go before, as they arrived. Options: max_wait (seconds,
// 10; 0: no bound).
const PolicyTable& lpm_policy();

}  // namespace troupe
