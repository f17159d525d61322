// By priority, preemptive, with ageing.
#pragma once
#include "policies/policy_abi.h"

namespace troupe {

// Order of all sequences, running or not: priority * ageing + arrival time, smallest first. So a sequence is
// ahead of every one that arrives later than ageing times their difference in priority after it, whatever
// that one's priority: nobody starves. The order between two never changes, so they cannot preempt each other
// in turns. One that waits preempts running ones that are behind it in this order and have a less urgent
// priority, if that gives it place and blocks; its prompt goes before theirs. Options: ageing (seconds that
// weigh as much as one level of priority, 30).
const PolicyTable& priority_policy();

}  // namespace troupe
