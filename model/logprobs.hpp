// Logits to log probabilities, in a fixed order of arithmetic: the same logits give the same bits.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "core/logprobs.hpp"

namespace troupe {

// Natural logarithm of a positive, normal number, to about 1e-15, without the C library: its bits are the
// same on every machine.
double log_f64(double x);

// Owns scratch memory; for one thread.
class LogprobsMaker {
  public:
    // Of `token`, and of the num_top likeliest. NaN logits count as minus infinity; with no finite largest
    // logit all are minus infinity. Precondition: token is within the logits.
    PositionLogprobs make(std::span<const float> logits, TokenId token, std::uint32_t num_top);

  private:
    std::vector<std::uint32_t> candidates_;
};

}  // namespace troupe
