// Fair shares for tenants by virtual token counters.
#pragma once
#include "policies/policy_abi.h"

namespace troupe {

// The Virtual Token Counter of Sheng et al., "Fairness in Serving Large Language Models" (OSDI 2024),
// algorithm 2. Each tenant has a counter of the service it got: w_p for each token of a prompt that was not
// cached, when its sequence is first admitted, and w_q for each token generated. Of the tenants with
// sequences that wait the one with the smallest counter is admitted next, its sequences as they arrived. A
// tenant that comes back from having none is lifted to the smallest counter of those that have (if there are
// none, to that of the one that had some last), so that being away saves up nothing. Bound (theorem 4.4
// there): of two tenants that both always have sequences waiting, the service of neither gets ahead of the
// other's by more than 2 max(w_p * longest prompt, w_q * tokens of the pool), over any time. Preempted
// sequences come back on their tenant's account, what they recompute is not charged again.
// When blocks run out, the tenant with the largest counter loses the sequence that arrived last.
// Options: input_weight (w_p, 1), output_weight (w_q, 2).
const PolicyTable& fair_policy();

}  // namespace troupe
