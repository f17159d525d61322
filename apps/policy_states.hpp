// Random states of a scheduler as a policy sees them, for `troupe policy check`.
#pragma once
#include <cstdint>
#include <random>
#include <vector>

#include "policies/policy_abi.h"

namespace troupe {

struct PolicyStateSample {
    PolicyView view{};  // its sequences are those below
    std::vector<PolicySequence> sequences;
};

// Numbers that could be a server's: blocks add up, nothing runs beyond the limits, the order is by (arrival,
// id). From empty to hundreds of sequences, from barely one sequence's worth of blocks to plenty, with and
// without step costs, targets, cached prefixes, lower tiers.
PolicyStateSample random_policy_state(std::mt19937_64& random);

}  // namespace troupe
