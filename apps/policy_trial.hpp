// The child's part of `troupe policy check`.
#pragma once
#include <atomic>
#include <cstdint>

#include "apps/policy_check.hpp"

namespace troupe {

// In memory that the parent sees.
struct TrialProgress {
    std::atomic<std::uint64_t> calls{0};  // of the policy, begun or ended
    std::atomic<bool> done{false};        // the trial came to its end
    char doing[120] = "loading";          // for messages: which call, in which state
};

// Tries the policy and writes lines to `report`: "found TEXT" for each kind of fault when it is found; at the
// end "numbers DECISIONS MEDIAN_US SLOWEST_US" and "fault TEXT" for each.
void run_policy_trial(const PolicyCheckOptions& options, TrialProgress& progress, int report);

}  // namespace troupe
