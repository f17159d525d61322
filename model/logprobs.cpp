#include "model/logprobs.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "model/exp.hpp"

namespace troupe {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

// Sum of exp(logit - largest), several sums side by side.
double sum_of_exponentials(std::span<const float> logits, float largest) {
    constexpr std::size_t lanes = 8;
    double sums[lanes] = {};
    for (std::size_t i = 0; i < logits.size(); ++i) {
        const float below = logits[i] - largest;  // the comparison is false for NaN
        if (below > exp_constants::lowest) sums[i % lanes] += exp_f32(below);
    }
    double sum = 0.0;
    for (const double lane : sums) sum += lane;
    return sum;
}

}  // namespace

// x = m * 2^e with m in [sqrt(1/2), sqrt(2)); log m = 2 artanh((m - 1) / (m + 1)), whose series ends below
// double's precision after eleven terms.
double log_f64(double x) {
    constexpr double ln2 = 0.693147180559945309417;
    constexpr double half_root = 0.707106781186547524401;
    const auto bits = std::bit_cast<std::uint64_t>(x);
    auto exponent = static_cast<int>(bits >> 52) - 1022;
    double m = std::bit_cast<double>((bits & 0x000FFFFFFFFFFFFFULL) | 0x3FE0000000000000ULL);  // [1/2, 1)
    if (m < half_root) {
        m *= 2.0;
        --exponent;
    }
    const double s = (m - 1.0) / (m + 1.0);
    const double square = s * s;
    double series = 0.0;
    for (int k = 21; k >= 1; k -= 2) series = series * square + 1.0 / k;
    return exponent * ln2 + 2.0 * s * series;
}

PositionLogprobs LogprobsMaker::make(std::span<const float> logits, TokenId token, std::uint32_t num_top) {
    float largest = -infinity;
    for (const float logit : logits) largest = logit > largest ? logit : largest;
    const bool finite = std::isfinite(largest);
    const double log_sum = finite ? log_f64(sum_of_exponentials(logits, largest)) : 0.0;
    const auto logprob = [&](std::size_t i) -> float {
        if (!finite || std::isnan(logits[i])) return -infinity;
        return static_cast<float>(double{logits[i]} - double{largest} - log_sum);
    };
    PositionLogprobs made;
    const float own = logits[static_cast<std::size_t>(token)];
    made.token = {token, logprob(static_cast<std::size_t>(token))};
    made.rank = 1;
    for (const float logit : logits) made.rank += logit > own ? 1 : 0;
    if (num_top == 0) return made;

    candidates_.resize(logits.size());
    for (std::size_t i = 0; i < logits.size(); ++i) candidates_[i] = static_cast<std::uint32_t>(i);
    const auto likelier = [&](std::uint32_t a, std::uint32_t b) {
        const float x = std::isnan(logits[a]) ? -infinity : logits[a];
        const float y = std::isnan(logits[b]) ? -infinity : logits[b];
        return x != y ? x > y : a < b;
    };
    const auto count = std::min<std::size_t>(num_top, candidates_.size());
    const auto middle = candidates_.begin() + static_cast<std::ptrdiff_t>(count);
    std::partial_sort(candidates_.begin(), middle, candidates_.end(), likelier);
    for (auto i = candidates_.begin(); i != middle; ++i)
        made.top.push_back({static_cast<TokenId>(*i), logprob(*i)});
    return made;
}

}  // namespace troupe
