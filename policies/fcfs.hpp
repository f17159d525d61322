// First come, first served: the built-in policy, and the engine's fallback when another policy answers
// nonsense.
#pragma once
#include "policies/policy_abi.h"

namespace troupe {

// Running sequences that decode come first (one token each), then running prefills, each in order of
// (arrival, id), then waiting sequences by (priority, arrival, id). Who has waited for longer than the option
// max_wait (30 seconds) goes before all others that wait, so that no client can keep another out by a number.
// Prefills come in chunks of what is left of the token budget. A waiting sequence is admitted only when
// everything it knows plus one block fits beside what the running ones still need for their own tokens; those
// behind it wait. When blocks run out, the running sequence that arrived last is preempted, for an earlier
// one only.
const PolicyTable& fcfs_policy();

}  // namespace troupe
