// Changes logits before anything is drawn from them, as a request's parameters say. The order is vLLM's:
// end_tokens become impossible until min_tokens have been generated; logit_bias is added; then the penalties.
//
//   repetition  of each token in prompt or output: positive logits are divided by it, others multiplied
//               (Keskar et al., "CTRL", 2019, section 4.1)
//   frequency   times the token's count in the output is subtracted
//   presence    is subtracted if the token is in the output
//   dry         (p-e-w, text-generation-webui pull request 5677, 2024) of each token that once followed the
//               last n tokens of the sequence, for the largest such n >= allowed_length:
//               multiplier * base^(n - allowed_length) is subtracted
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "core/forward_batch.hpp"

namespace troupe {

// Owns scratch memory; for one thread.
class LogitAdjuster {
  public:
    // `logits` themselves if nothing is to be changed, else a copy that is valid until the next call. Tokens
    // outside of the logits are ignored.
    std::span<const float> adjust(std::span<const float> logits, const SamplingRow& row);

  private:
    void penalize(const SamplingRow& row);
    void discourage_repetition(const SamplingRow& row);

    std::vector<float> logits_;
    std::vector<std::uint32_t> counts_;   // [vocab] in the output; `unseen` between calls
    std::vector<std::size_t> seen_;       // tokens of prompt and output, each once
    std::vector<std::uint32_t> matches_;  // [history] Z-function of the reversed history
};

}  // namespace troupe
