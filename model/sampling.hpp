// From logits to a token. A draw is a pure function of (logits, params, position): counter-based random
// numbers, so it does not depend on batch, worker or restarts.
//
// Order: what model/logit_adjuster.hpp does to the logits, in vLLM's order; then, as in Hugging Face's
// generate(), temperature; top_k (the k likeliest, lower ids first among equals); top_p (the smallest set of
// the likeliest whose probabilities, renormalized after top_k, reach top_p: at least one); min_p (p >= min_p
// * largest p); typical_p (the smallest set of those whose surprise is nearest to the expected one that
// reaches typical_p; Meister et al., "Locally typical sampling", 2022); then XTC (with its probability,
// leaves out all tokens of at least its threshold but the least likely of them); then one draw from what is
// left. NaN logits count as minus infinity. Temperature 0 takes the likeliest after the adjustments; no
// filter changes which that is but typical_p and XTC, which it ignores.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/forward_batch.hpp"
#include "core/ids.hpp"
#include "model/logit_adjuster.hpp"

namespace troupe {

// The lowest index among the largest logits.
TokenId greedy(std::span<const float> logits);

// Uniform in [0, 1), 53 bits: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
// 2011) with the seed as key and (position, draw, choice) as counter.
double uniform_draw(std::uint64_t seed, std::uint32_t choice, std::uint32_t position, std::uint32_t draw);

// Owns scratch memory; for one thread.
class Sampler {
  public:
    // no_token if the largest adjusted logit is not finite: all are NaN or minus infinity, or some is
    // infinity.
    // Precondition: logits is not empty.
    TokenId sample(std::span<const float> logits, const SamplingRow& row);

    // Relative probabilities after all filters but XTC, not normalized: zero for what was filtered out. Valid
    // until the next call. Precondition: temperature > 0, and some logit is finite and none +infinity.
    std::span<const float> filtered_weights(std::span<const float> logits, const SamplingParams& params);

  private:
    struct Cut {  // keeps weights above `weight`, and those equal to it up to index `last`
        float weight = 0.0F;
        std::size_t last = 0;
    };
    void gather(float above);
    Cut cut_after_count(std::size_t count);
    Cut cut_after_sum(double sum);
    void apply(const Cut& cut);
    void keep_typical(std::span<const float> logits, float largest, const SamplingParams& params);
    void exclude_top_choices(float threshold);

    LogitAdjuster adjuster_;
    std::vector<float> weights_;             // [vocab] exp((logit - max) / temperature), 0 once filtered
    std::vector<std::uint32_t> candidates_;  // indices of weights
};

}  // namespace troupe
