// Shortest job first.
#pragma once
#include "policies/policy_abi.h"

namespace troupe {

// As FCFS, but those that wait are admitted by their predicted work, least first, and when blocks run out the
// running sequence with most work left is preempted. The work of a sequence is the time it would take in the
// present company:
//     P * c_token + O * (c_base + c_token * max(1, running))
// P: tokens still to compute (prompt, recompute), O: output tokens still to come, c: the view's step costs
// (before they are known c_token = 1, c_base = 0). O is predicted from finished requests
// (policies/length_predictor.hpp). Those that wait longer than max_wait go first, as they arrived: without it
// long jobs could wait for ever. Options: max_wait (seconds, 60; 0: no bound), oracle (1: O from
// oracle_tokens where a simulation gives them).
const PolicyTable& sjf_policy();

}  // namespace troupe
