#include "model/sampling.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>

#include "model/exp.hpp"

namespace troupe {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

// One of the ten rounds of Philox4x32.
void philox_round(std::uint32_t (&counter)[4], std::uint32_t key0, std::uint32_t key1) {
    const std::uint64_t a = std::uint64_t{counter[0]} * 0xD2511F53U;
    const std::uint64_t b = std::uint64_t{counter[2]} * 0xCD9E8D57U;
    counter[0] = static_cast<std::uint32_t>(b >> 32) ^ counter[1] ^ key0;
    counter[1] = static_cast<std::uint32_t>(b);
    counter[2] = static_cast<std::uint32_t>(a >> 32) ^ counter[3] ^ key1;
    counter[3] = static_cast<std::uint32_t>(a);
}

// Several sums side by side: one long chain of additions would take longer than all the rest.
double sum_of(std::span<const float> values) {
    constexpr std::size_t lanes = 8;
    double sums[lanes] = {};
    std::size_t i = 0;
    for (; i + lanes <= values.size(); i += lanes) {
        for (std::size_t lane = 0; lane < lanes; ++lane) sums[lane] += values[i + lane];
    }
    for (; i < values.size(); ++i) sums[0] += values[i];
    return std::accumulate(std::begin(sums), std::end(sums), 0.0);
}

// The index at which the running sum first exceeds `target`.
std::size_t index_of_sum(std::span<const float> weights, double target) {
    constexpr std::size_t stretch = 256;
    double before = 0.0;
    std::size_t start = 0;
    for (; start + stretch < weights.size(); start += stretch) {
        const double sum = sum_of(weights.subspan(start, stretch));
        if (before + sum > target) break;
        before += sum;
    }
    std::size_t last_positive = 0;  // rounding may leave the target just above the whole sum
    for (std::size_t i = start; i < weights.size(); ++i) {
        if (weights[i] <= 0.0F) continue;
        last_positive = i;
        before += weights[i];
        if (before > target) return i;
    }
    if (weights[last_positive] > 0.0F) return last_positive;
    for (std::size_t i = start; i-- > 0;) {
        if (weights[i] > 0.0F) return i;
    }
    return 0;
}

// The last of the fewest candidates, first ones first in the order `before`, whose weights together reach
// `sum`; nothing if all do not. Rearranges the candidates.
template <class Before>
std::optional<std::uint32_t> index_reaching(std::vector<std::uint32_t>& candidates,
                                            std::span<const float> weights, double sum, Before before) {
    // Halves the range in which it lies, until what is left is cheap to sort.
    auto begin = candidates.begin();
    auto end = candidates.end();
    double reached = 0.0;
    while (end - begin > 64) {
        const auto middle = begin + (end - begin) / 2;
        std::nth_element(begin, middle, end, before);
        double half = 0.0;
        for (auto i = begin; i != middle; ++i) half += weights[*i];
        if (reached + half >= sum) {
            end = middle;
        } else {
            reached += half;
            begin = middle;
        }
    }
    std::sort(begin, end, before);
    for (auto i = begin; i != end; ++i) {
        reached += weights[*i];
        if (reached >= sum) return *i;
    }
    return std::nullopt;
}

}  // namespace

TokenId greedy(std::span<const float> logits) {
    std::size_t best = 0;
    float largest = -infinity;
    for (std::size_t i = 0; i < logits.size(); ++i) {
        if (logits[i] > largest) {
            largest = logits[i];
            best = i;
        }
    }
    return static_cast<TokenId>(best);
}

double uniform_draw(std::uint64_t seed, std::uint32_t choice, std::uint32_t position, std::uint32_t draw) {
    std::uint32_t counter[4] = {position, draw, choice, 0};
    auto key0 = static_cast<std::uint32_t>(seed);
    auto key1 = static_cast<std::uint32_t>(seed >> 32);
    for (int round = 0; round < 10; ++round) {
        philox_round(counter, key0, key1);
        key0 += 0x9E3779B9U;
        key1 += 0xBB67AE85U;
    }
    const std::uint64_t bits = (std::uint64_t{counter[0]} << 32) | counter[1];
    return static_cast<double>(bits >> 11) * 0x1p-53;
}

TokenId Sampler::sample(std::span<const float> raw_logits, const SamplingRow& row) {
    const std::span<const float> logits = adjuster_.adjust(raw_logits, row);
    const TokenId likeliest = greedy(logits);
    const float largest = logits[static_cast<std::size_t>(likeliest)];
    if (!std::isfinite(largest)) return no_token;
    if (!(row.params.temperature > 0.0F)) return likeliest;
    const std::span<const float> weights = filtered_weights(logits, row.params);
    const auto draw = [&](std::uint32_t number) {
        return uniform_draw(row.params.seed, row.params.choice, row.position, number);
    };
    if (row.params.xtc_probability > 0.0F && draw(1) < row.params.xtc_probability)
        exclude_top_choices(row.params.xtc_threshold);
    const double u = draw(0);
    return static_cast<TokenId>(index_of_sum(weights, u * sum_of(weights)));
}

std::span<const float> Sampler::filtered_weights(std::span<const float> logits,
                                                 const SamplingParams& params) {
    const float largest = logits[static_cast<std::size_t>(greedy(logits))];
    weights_.resize(logits.size());
    for (std::size_t i = 0; i < logits.size(); ++i) {
        // The comparison is false for NaN. exp_f32() never gives zero, so what is far below is cut off here.
        const float scaled = (logits[i] - largest) / params.temperature;
        weights_[i] = scaled > exp_constants::lowest ? exp_f32(scaled) : 0.0F;
    }
    if (params.top_k > 0 && static_cast<std::size_t>(params.top_k) < weights_.size()) {
        apply(cut_after_count(static_cast<std::size_t>(params.top_k)));
    }
    if (params.top_p < 1.0F) apply(cut_after_sum(params.top_p * sum_of(weights_)));
    if (params.min_p > 0.0F) {  // the largest weight is 1
        for (float& weight : weights_) weight = weight >= params.min_p ? weight : 0.0F;
    }
    if (params.typical_p < 1.0F) keep_typical(logits, largest, params);
    return weights_;
}

// With s = (logit - largest) / temperature, log p = s - log(sum of weights), so how far a token's surprise is
// from the expected one is |s - mean of s|: no logarithm is needed.
void Sampler::keep_typical(std::span<const float> logits, float largest, const SamplingParams& params) {
    gather(0.0F);
    const auto surprise = [&](std::size_t i) { return double{(logits[i] - largest) / params.temperature}; };
    double total = 0.0;
    double mean = 0.0;
    for (const std::uint32_t i : candidates_) {
        total += weights_[i];
        mean += weights_[i] * surprise(i);
    }
    mean /= total;
    const auto distance = [&](std::size_t i) { return std::abs(surprise(i) - mean); };
    const auto nearer = [&](std::uint32_t a, std::uint32_t b) {
        return distance(a) != distance(b) ? distance(a) < distance(b) : a < b;
    };
    const auto last = index_reaching(candidates_, weights_, params.typical_p * total, nearer);
    if (!last) return;
    for (const std::uint32_t i : candidates_) {
        if (nearer(*last, i)) weights_[i] = 0.0F;
    }
}

// p-e-w's "Exclude Top Choices" (text-generation-webui, 2024).
void Sampler::exclude_top_choices(float threshold) {
    const auto weight_of_threshold = threshold * sum_of(weights_);
    std::optional<std::size_t> least;
    for (std::size_t i = 0; i < weights_.size(); ++i) {
        if (weights_[i] > 0.0F && weights_[i] >= weight_of_threshold &&
            (!least || weights_[i] <= weights_[*least]))
            least = i;
    }
    if (!least) return;
    const float kept = weights_[*least];
    for (std::size_t i = 0; i < weights_.size(); ++i) {
        if (weights_[i] >= kept && i != *least) weights_[i] = 0.0F;
    }
}

// Collects the indices, ascending, of positive weights of at least `above`.
void Sampler::gather(float above) {
    candidates_.clear();
    for (std::size_t i = 0; i < weights_.size(); ++i) {
        if (weights_[i] > 0.0F && weights_[i] >= above) candidates_.push_back(static_cast<std::uint32_t>(i));
    }
}

// Both cuts look first at the few weights near the top, where they nearly always are.
static constexpr float thresholds[] = {0x1p-5F, 0x1p-10F, 0x1p-20F, 0.0F};

Sampler::Cut Sampler::cut_after_count(std::size_t count) {
    for (const float threshold : thresholds) {
        gather(threshold);
        if (candidates_.size() >= count) break;
    }
    if (candidates_.size() <= count) return {0.0F, weights_.size()};
    const auto likelier = [&](std::uint32_t a, std::uint32_t b) {
        return weights_[a] != weights_[b] ? weights_[a] > weights_[b] : a < b;
    };
    const auto last = candidates_.begin() + static_cast<std::ptrdiff_t>(count) - 1;
    std::nth_element(candidates_.begin(), last, candidates_.end(), likelier);
    return {weights_[*last], *last};
}

Sampler::Cut Sampler::cut_after_sum(double sum) {
    for (const float threshold : thresholds) {
        gather(threshold);
        double gathered = 0.0;
        for (const std::uint32_t index : candidates_) gathered += weights_[index];
        if (gathered >= sum) break;
    }
    const auto likelier = [&](std::uint32_t a, std::uint32_t b) {
        return weights_[a] != weights_[b] ? weights_[a] > weights_[b] : a < b;
    };
    const auto last = index_reaching(candidates_, weights_, sum, likelier);
    if (last) return {weights_[*last], *last};
    return {0.0F, weights_.size()};
}

void Sampler::apply(const Cut& cut) {
    for (std::size_t i = 0; i < weights_.size(); ++i) {
        const bool kept = weights_[i] > cut.weight || (weights_[i] == cut.weight && i <= cut.last);
        weights_[i] = kept ? weights_[i] : 0.0F;
    }
}

}  // namespace troupe
