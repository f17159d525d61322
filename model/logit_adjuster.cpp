#include "model/logit_adjuster.hpp"

#include <limits>

namespace troupe {
namespace {

constexpr std::uint32_t unseen = std::numeric_limits<std::uint32_t>::max();

bool must_go_on(const SamplingRow& row) {
    return row.position - row.num_prompt_tokens < row.params.min_tokens && !row.params.end_tokens.empty();
}

}  // namespace

std::span<const float> LogitAdjuster::adjust(std::span<const float> logits, const SamplingRow& row) {
    const SamplingParams& params = row.params;
    if (!must_go_on(row) && params.logit_bias.empty() && !params.has_penalties()) return logits;
    logits_.assign(logits.begin(), logits.end());
    if (must_go_on(row)) {
        for (const TokenId id : params.end_tokens) {
            const auto token = static_cast<std::size_t>(id);
            if (token < logits_.size()) logits_[token] = -std::numeric_limits<float>::infinity();
        }
    }
    for (const LogitBias& entry : params.logit_bias) {
        const auto token = static_cast<std::size_t>(entry.token);
        if (token < logits_.size()) logits_[token] += entry.bias;
    }
    if (params.has_penalties()) penalize(row);
    return logits_;
}

void LogitAdjuster::penalize(const SamplingRow& row) {
    counts_.resize(logits_.size(), unseen);
    seen_.clear();
    for (std::size_t i = 0; i < row.history.size(); ++i) {
        const auto token = static_cast<std::size_t>(row.history[i]);
        if (token >= logits_.size()) continue;
        if (counts_[token] == unseen) {
            counts_[token] = 0;
            seen_.push_back(token);
        }
        if (i >= row.num_prompt_tokens) ++counts_[token];
    }
    const SamplingParams& params = row.params;
    for (const std::size_t token : seen_) {
        float& logit = logits_[token];
        logit = logit > 0.0F ? logit / params.repetition_penalty : logit * params.repetition_penalty;
        if (counts_[token] > 0) {
            logit -= params.frequency_penalty * static_cast<float>(counts_[token]);
            logit -= params.presence_penalty;
        }
        counts_[token] = unseen;
    }
}

}  // namespace troupe
