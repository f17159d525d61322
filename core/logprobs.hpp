// Log probabilities of tokens: natural logarithms of softmax(logits), the logits as the model gave them,
// before temperature, penalties and filters (as vLLM's `raw_logprobs`).
#pragma once
#include <cstdint>
#include <vector>

#include "core/ids.hpp"

namespace troupe {

struct TokenLogprob {
    TokenId token = 0;
    float logprob = 0.0F;  // minus infinity for what cannot be

    bool operator==(const TokenLogprob&) const = default;
};

// Of one position: the token that is there, and what else might have been.
struct PositionLogprobs {
    TokenLogprob token;
    std::uint32_t rank = 0;         // 1: the likeliest; tokens as likely as this one do not count before it
    std::vector<TokenLogprob> top;  // the likeliest, likeliest first, lower ids first among equals

    bool operator==(const PositionLogprobs&) const = default;
};

}  // namespace troupe
