// Latency targets.
#pragma once
#include "policies/policy_abi.h"

namespace troupe {

// Targets are those of a request or the server (view), or else the options ttft_ms and tpot_ms. With the
// view's step costs, T(n, C) = c_base + c_token * n + c_context * C microseconds for n tokens whose rows have
// C tokens of context in all:
//   - Step limit L: 0.95 times the smallest TPOT target among the sequences that decode. Targets that a
//   sequence could not
//     keep alone, T(1, its context) > target, do not count.
//   - Chunk: all that decode get their token; prompts get at most the n with T(decoding + n, C) <= L.
//   - Batch: one more sequence is admitted only if T(running + 1, C + its tokens) <= L, its own target
//   included.
//   - Order of prompts, running or waiting: the time at which the first token is due (arrival + TTFT target),
//   earliest
//     first; without a target it is due after `patience`. One whose time has passed can gain nothing any
//     more: it goes behind those that can still make it, until it has waited for `patience`, then before
//     them.
//   - With shed=1 one that waits is refused as soon as its prompt alone, at the rate that L allows, would end
//   after it is
//     due.
// Before the first step has been measured it is FCFS by due times.
// Options: ttft_ms, tpot_ms (0: none), shed (0), patience (seconds, 60).
const PolicyTable& slo_policy();

}  // namespace troupe
