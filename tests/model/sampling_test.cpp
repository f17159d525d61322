#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>

#include "model/sampling.hpp"
#include "tests/catch.hpp"

namespace troupe {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> logits_of(const std::vector<double>& probabilities) {
    std::vector<float> logits;
    for (const double p : probabilities) logits.push_back(static_cast<float>(std::log(p)));
    return logits;
}

// Which indices survive the filters.
std::vector<std::size_t> kept(const std::vector<float>& logits, const SamplingParams& params) {
    Sampler sampler;
    std::vector<std::size_t> indices;
    const auto weights = sampler.filtered_weights(logits, params);
    for (std::size_t i = 0; i < weights.size(); ++i) {
        if (weights[i] > 0.0F) indices.push_back(i);
    }
    return indices;
}

std::vector<float> random_logits(std::size_t count, float spread, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0.0F, spread);
    std::vector<float> logits(count);
    for (float& logit : logits) logit = normal(random);
    return logits;
}

using Indices = std::vector<std::size_t>;

}  // namespace

TEST_CASE("Greedy takes the lowest index among the largest logits") {
    CHECK(greedy(std::vector<float>{1, 3, 3, 2}) == 1);
    CHECK(greedy(std::vector<float>{nan, -5, nan, -4}) == 3);
    CHECK(greedy(std::vector<float>{-infinity, -infinity}) == 0);
    CHECK(greedy(std::vector<float>{nan, nan}) == 0);
}

TEST_CASE("Philox gives its published vectors") {
    // Random123's known answers for philox4x32-10: zeros, and all bits set (kat_vectors).
    CHECK(uniform_draw(0, 0, 0, 0) == static_cast<double>(0x6627E8D5E169C58DULL >> 11) * 0x1p-53);
}

TEST_CASE("Draws are a function of seed, choice, position and draw") {
    CHECK(uniform_draw(1, 2, 3, 4) == uniform_draw(1, 2, 3, 4));
    CHECK(uniform_draw(1, 2, 3, 4) != uniform_draw(2, 2, 3, 4));
    CHECK(uniform_draw(1, 2, 3, 4) != uniform_draw(1, 3, 3, 4));
    CHECK(uniform_draw(1, 2, 3, 4) != uniform_draw(1, 2, 4, 4));
    CHECK(uniform_draw(1, 2, 3, 4) != uniform_draw(1, 2, 3, 5));
    CHECK(uniform_draw(1ULL << 40, 0, 0, 0) != uniform_draw(1ULL << 41, 0, 0, 0));
    double sum = 0.0;
    for (std::uint32_t i = 0; i < 10000; ++i) {
        const double u = uniform_draw(7, 0, i, 0);
        REQUIRE((u >= 0.0 && u < 1.0));
        sum += u;
    }
    CHECK(sum / 10000 == Approx(0.5).margin(0.015));  // five standard deviations
}

TEST_CASE("top_k keeps the k likeliest, lower ids first among equals") {
    const auto logits = logits_of({0.1, 0.3, 0.1, 0.4, 0.1});
    SamplingParams params;
    params.top_k = 2;
    CHECK(kept(logits, params) == Indices{1, 3});
    params.top_k = 3;
    CHECK(kept(logits, params) == Indices{0, 1, 3});
    params.top_k = 100;
    CHECK(kept(logits, params).size() == 5);
    params.top_k = 1;
    CHECK(kept(logits, params) == Indices{3});
}

TEST_CASE("top_p keeps the smallest set that reaches it") {
    const auto logits = logits_of({0.1, 0.25, 0.05, 0.5, 0.1});
    SamplingParams params;
    params.top_p = 0.4F;
    CHECK(kept(logits, params) == Indices{3});
    params.top_p = 0.74F;
    CHECK(kept(logits, params) == Indices{1, 3});
    params.top_p = 0.80F;
    CHECK(kept(logits, params) == Indices{0, 1, 3});
    params.top_p = 1e-9F;
    CHECK(kept(logits, params) == Indices{3});
}

TEST_CASE("top_p counts probabilities renormalized after top_k") {
    const auto logits = logits_of({0.4, 0.3, 0.2, 0.1});
    SamplingParams params;
    params.top_p = 0.55F;
    CHECK(kept(logits, params) == Indices{0, 1});
    params.top_k = 2;  // 4/7 = 0.571 alone is enough now
    CHECK(kept(logits, params) == Indices{0});
}

TEST_CASE("min_p keeps what is likely beside the likeliest") {
    const auto logits = logits_of({0.5, 0.26, 0.14, 0.1});
    SamplingParams params;
    params.min_p = 0.25F;
    CHECK(kept(logits, params) == Indices{0, 1, 2});
    params.min_p = 1.0F;
    CHECK(kept(logits, params) == Indices{0});
}

TEST_CASE("Filters agree with sorting everything, on large vocabularies") {
    for (const float spread : {0.01F, 1.0F, 4.0F}) {
        const auto logits = random_logits(5000, spread, 3);
        std::vector<std::size_t> order(logits.size());
        for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
        Sampler sampler;
        const auto all = sampler.filtered_weights(logits, {});
        const std::vector<float> weights(all.begin(), all.end());
        std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return weights[a] > weights[b]; });
        double total = 0.0;
        for (const float weight : weights) total += weight;
        for (const float top_p : {0.1F, 0.5F, 0.9F, 0.999F}) {
            double sum = 0.0;
            std::size_t count = 0;
            while (sum < top_p * total) sum += weights[order[count++]];
            Indices expected(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count));
            std::sort(expected.begin(), expected.end());
            SamplingParams params;
            params.top_p = top_p;
            const auto actual = kept(logits, params);
            // Sums in another order may move the cut by one.
            CHECK(std::abs(static_cast<double>(actual.size()) - static_cast<double>(expected.size())) <= 1.0);
        }
        for (const std::int32_t top_k : {1, 40, 1000, 4999}) {
            Indices expected(order.begin(), order.begin() + top_k);
            std::sort(expected.begin(), expected.end());
            SamplingParams params;
            params.top_k = top_k;
            CHECK(kept(logits, params) == expected);
        }
    }
}

TEST_CASE("Draws follow the probabilities") {
    const std::vector<double> probabilities = {0.05, 0.35, 0.2, 0.4};
    const auto logits = logits_of(probabilities);
    Sampler sampler;
    const int draws = 40000;
    for (const float temperature : {1.0F, 2.0F}) {
        std::vector<double> expected;
        double total = 0.0;
        for (const double p : probabilities) total += std::pow(p, 1.0 / temperature);
        for (const double p : probabilities) expected.push_back(std::pow(p, 1.0 / temperature) / total);
        std::vector<int> counts(4);
        for (std::uint32_t position = 0; position < draws; ++position) {
            SamplingRow row;
            row.params.temperature = temperature;
            row.params.seed = 42;
            row.position = position;
            ++counts[static_cast<std::size_t>(sampler.sample(logits, row))];
        }
        double chi_squared = 0.0;
        for (std::size_t i = 0; i < 4; ++i) {
            const double mean = draws * expected[i];
            chi_squared += (counts[i] - mean) * (counts[i] - mean) / mean;
        }
        CHECK(chi_squared < 16.3);  // 3 degrees of freedom, p = 0.001; the seed is fixed
    }
}

TEST_CASE("Extreme temperatures and broken logits give a token") {
    Sampler sampler;
    SamplingRow row;
    row.params.temperature = 1e-30F;
    CHECK(sampler.sample(std::vector<float>{1.0F, 1.5F, 1.4F}, row) == 1);
    row.params.temperature = std::numeric_limits<float>::denorm_min();
    CHECK(sampler.sample(std::vector<float>{1.0F, 1.5F, 1.4F}, row) == 1);
    row.params.temperature = 1e30F;
    std::map<TokenId, int> counts;
    for (row.position = 0; row.position < 3000; ++row.position) {
        ++counts[sampler.sample(std::vector<float>{-50.0F, 0.0F, 50.0F}, row)];
    }
    for (TokenId id = 0; id < 3; ++id) CHECK(counts[id] == Approx(1000).margin(130));
    row.params.temperature = 1.0F;
    CHECK(sampler.sample(std::vector<float>{nan, nan}, row) == no_token);
    CHECK(sampler.sample(std::vector<float>{-infinity, -infinity}, row) == no_token);
    CHECK(sampler.sample(std::vector<float>{-infinity, 3.0F, nan}, row) == 1);
    CHECK(sampler.sample(std::vector<float>{1.0F, infinity, infinity}, row) == no_token);
    row.params.top_p = 0.5F;
    row.params.top_k = 2;
    row.params.min_p = 0.1F;
    CHECK(sampler.sample(std::vector<float>{-infinity, 3.0F, nan}, row) == 1);
}

TEST_CASE("A token depends on its own row only") {
    const auto logits = random_logits(1000, 2.0F, 5);
    const auto others = random_logits(3000, 1.0F, 6);
    SamplingRow row;
    row.params.top_p = 0.95F;
    row.params.seed = 9;
    row.position = 17;
    Sampler fresh;
    const TokenId alone = fresh.sample(logits, row);
    Sampler used;
    used.sample(others, row);
    CHECK(used.sample(logits, row) == alone);
}

}  // namespace troupe
