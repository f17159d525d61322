// Static batching: how servers worked before continuous batching (Yu et al., "Orca", 2022). The baseline.
#pragma once
#include "policies/policy_abi.h"

namespace troupe {

// When nothing runs, as many of those that arrived first become a batch as have places and blocks up to their
// max_tokens. All their prompts are computed, then all decode until the last of them has ended; those that
// have ended leave their places empty. Nobody is admitted meanwhile, nobody is preempted. Options: batch_size
// (at most that many in a batch; 0: max_sequences).
const PolicyTable& static_policy();

}  // namespace troupe
