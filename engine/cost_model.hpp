// Predicts how long a step takes, for policies and the simulator.
#pragma once
#include <array>
#include <cstdint>

namespace troupe {

// Microseconds of a step: base + per_token * tokens + per_context_token * (sum over rows of their context
// length).
struct StepCost {
    double base_us = 0;
    double per_token_us = 0;
    double per_context_token_us = 0;

    bool operator==(const StepCost&) const = default;
};

// Online least squares over completed steps, older ones fading by a constant factor, with a small ridge so
// that steps that all look alike do not make the coefficients run away. Pure and deterministic.
class CostModel {
  public:
    void observe(std::uint64_t tokens, std::uint64_t context_tokens, double step_us);

    // Coefficients are never negative; all zero before the first observation.
    StepCost cost() const;

  private:
    using Vector = std::array<double, 3>;  // 1, tokens, context tokens (scaled)
    std::array<Vector, 3> normal_{};       // faded sum of x xT
    Vector moments_{};                     // faded sum of x * step_us
};

}  // namespace troupe
