#include "model/logit_adjuster.hpp"

#include <algorithm>
#include <limits>

namespace troupe {
namespace {

constexpr std::uint32_t unseen = std::numeric_limits<std::uint32_t>::max();
constexpr double largest_penalty = 1e30;  // a logit stays finite

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
    if (params.dry.multiplier != 0.0F) discourage_repetition(row);
    return logits_;
}

// Read backwards, a repetition of the sequence's end is a common prefix of the history and of a later part of
// it: the Z-function (Gusfield, "Algorithms on Strings, Trees, and Sequences", 1997, section 1.3) finds all
// of them in linear time.
void LogitAdjuster::discourage_repetition(const SamplingRow& row) {
    const DryParams& dry = row.params.dry;
    const std::size_t all = row.history.size();
    const std::size_t size = dry.last_n < 0 ? all : std::min(all, static_cast<std::size_t>(dry.last_n));
    const auto back = [&](std::size_t i) { return row.history[all - 1 - i]; };
    std::size_t longest = 0;  // to the last breaker
    while (longest < size && !std::binary_search(dry.breakers.begin(), dry.breakers.end(), back(longest)))
        ++longest;
    if (longest < dry.allowed_length) return;
    matches_.assign(size, 0);
    counts_.resize(logits_.size(), unseen);
    seen_.clear();
    for (std::size_t i = 1, left = 0, right = 0; i < size; ++i) {  // [left, right): the match that ends last
        std::size_t match = i < right ? std::min<std::size_t>(right - i, matches_[i - left]) : 0;
        while (i + match < size && back(match) == back(i + match)) ++match;
        matches_[i] = static_cast<std::uint32_t>(match);
        if (i + match > right) {
            left = i;
            right = i + match;
        }
        const auto length = static_cast<std::uint32_t>(std::min(match, longest));
        const auto token = static_cast<std::size_t>(back(i - 1));
        if (length < dry.allowed_length || token >= logits_.size()) continue;
        if (counts_[token] == unseen) {
            counts_[token] = 0;
            seen_.push_back(token);
        }
        counts_[token] = std::max(counts_[token], length);
    }
    for (const std::size_t token : seen_) {
        double penalty = dry.multiplier;
        for (std::uint32_t n = dry.allowed_length; n < counts_[token] && penalty < largest_penalty; ++n)
            penalty *= dry.base;
        logits_[token] -= static_cast<float>(std::min(penalty, largest_penalty));
        counts_[token] = unseen;
    }
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
