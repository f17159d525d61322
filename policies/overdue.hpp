// A bound on waiting for policies that would let some wait for ever.
#pragma once
#include <cstdint>

#include "policies/policy.hpp"

namespace troupe {

// Option max_wait (seconds; 0: no bound): sequences that wait longer go before all others, as they arrived.
class WaitBound {
  public:
    WaitBound(PolicyOptions& options, double default_seconds)
        : max_us_(1e6 * options.number("max_wait", default_seconds, 0, 86400)) {}

    // Waiting counts from its last token, so that one that was preempted is not overdue at once.
    bool overdue(const PolicyView& view, const PolicySequence& sequence) const {
        const std::int64_t since = sequence.last_token_us > 0 ? sequence.last_token_us : sequence.arrival_us;
        return max_us_ > 0 && static_cast<double>(view.now_us - since) > max_us_;
    }

    // Before every key that a policy gives; equal keys go as they arrived.
    static constexpr double first = -1e300;

  private:
    double max_us_;
};

}  // namespace troupe
