#include "model/logit_adjuster.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <set>

#include "model/sampling.hpp"
#include "tests/catch.hpp"

namespace troupe {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

SamplingRow row_of(std::vector<TokenId> history, std::uint32_t num_prompt_tokens) {
    SamplingRow row;
    row.position = static_cast<std::uint32_t>(history.size());
    row.num_prompt_tokens = num_prompt_tokens;
    row.history = std::move(history);
    return row;
}

std::vector<float> adjusted(const std::vector<float>& logits, const SamplingRow& row) {
    LogitAdjuster adjuster;
    const auto result = adjuster.adjust(logits, row);
    return {result.begin(), result.end()};
}

using Logits = std::vector<float>;

}  // namespace

TEST_CASE("Without parameters that change logits they are not even copied") {
    const Logits logits = {1, 2, 3};
    LogitAdjuster adjuster;
    SamplingRow row = row_of({0, 1, 2}, 1);
    row.params.end_tokens = {1};
    row.params.min_tokens = 2;  // which have been generated
    CHECK(adjuster.adjust(logits, row).data() == logits.data());
}

TEST_CASE("Repetition penalty counts prompt and output, presence and frequency the output only") {
    const Logits logits = {2, -2, 2, -2, 1};
    SamplingRow row = row_of({0, 1, 1, 2, 3, 3}, 3);  // prompt 0 1 1, output 2 3 3
    row.params.repetition_penalty = 2.0F;
    CHECK(adjusted(logits, row) == Logits{1, -4, 1, -4, 1});
    row.params.repetition_penalty = 1.0F;
    row.params.presence_penalty = 0.5F;
    CHECK(adjusted(logits, row) == Logits{2, -2, 1.5F, -2.5F, 1});
    row.params.presence_penalty = 0.0F;
    row.params.frequency_penalty = 0.25F;
    CHECK(adjusted(logits, row) == Logits{2, -2, 1.75F, -2.5F, 1});
    row.params.frequency_penalty = -0.25F;
    CHECK(adjusted(logits, row) == Logits{2, -2, 2.25F, -1.5F, 1});
    row.params = {};
    row.params.repetition_penalty = 2.0F;  // all together, in this order
    row.params.presence_penalty = 0.5F;
    row.params.frequency_penalty = 0.25F;
    CHECK(adjusted(logits, row) == Logits{1, -4, 0.25F, -5, 1});
}

TEST_CASE("A bias is added before the penalties") {
    SamplingRow row = row_of({1}, 0);
    row.params.logit_bias = {{1, 3.0F}, {2, -100.0F}, {99, 5.0F}, {-7, 5.0F}};
    row.params.repetition_penalty = 2.0F;
    CHECK(adjusted({1, 1, 1}, row) == Logits{1, 2, -99});
}

TEST_CASE("End tokens are impossible before min_tokens, not at it") {
    SamplingRow row;
    row.num_prompt_tokens = 5;
    row.params.min_tokens = 2;
    row.params.end_tokens = {0, 2, 50};
    row.params.logit_bias = {{2, 100.0F}};  // does not bring it back
    for (const std::uint32_t position : {5U, 6U}) {
        row.position = position;
        CHECK(adjusted({9, 1, 8}, row) == Logits{-infinity, 1, -infinity});
    }
    row.position = 7;
    CHECK(adjusted({9, 1, 8}, row) == Logits{9, 1, 108});
}

TEST_CASE("An adjuster remembers nothing of the row before, and tokens outside of the logits do no harm") {
    LogitAdjuster adjuster;
    SamplingRow row = row_of({0, 1, -1, 77}, 1);
    row.params.frequency_penalty = 1.0F;
    for (const std::size_t size : {3U, 5U, 2U, 3U}) {
        const Logits logits(size, 1.0F);
        const auto result = adjuster.adjust(logits, row);
        CHECK(result[0] == 1.0F);
        CHECK(result[1] == 0.0F);
    }
}

namespace {

// The definition, word by word: for each earlier place, how many tokens before it are those before the end.
Logits discouraged(Logits logits, const SamplingRow& row) {
    const DryParams& dry = row.params.dry;
    const auto& all = row.history;
    const std::size_t size = dry.last_n < 0 ? all.size() : std::min(all.size(), std::size_t(dry.last_n));
    const std::vector<TokenId> h(all.end() - static_cast<std::ptrdiff_t>(size), all.end());
    std::map<TokenId, std::size_t> longest;
    for (std::size_t place = 1; place < size; ++place) {
        std::size_t n = 0;
        while (n < place && h[place - 1 - n] == h[size - 1 - n] &&
               std::count(dry.breakers.begin(), dry.breakers.end(), h[size - 1 - n]) == 0)
            ++n;
        longest[h[place]] = std::max(longest[h[place]], n);
    }
    for (const auto& [token, n] : longest) {
        if (n < dry.allowed_length || token < 0 || std::size_t(token) >= logits.size()) continue;
        double penalty = dry.multiplier;
        for (std::size_t i = dry.allowed_length; i < n; ++i) penalty *= dry.base;
        logits[std::size_t(token)] -= static_cast<float>(penalty);
    }
    return logits;
}

}  // namespace

TEST_CASE("DRY makes tokens less likely that go on repeating the text, the more the longer it repeats") {
    const Logits logits = {1, 1, 1, 1, 1};
    SamplingRow row = row_of({0, 1, 2, 3, 0, 1, 2}, 2);
    row.params.dry = {.multiplier = 0.5F, .base = 2.0F};
    CHECK(adjusted(logits, row) == Logits{1, 1, 1, 0, 1});  // three repeated, one more than is allowed
    row.params.dry.allowed_length = 3;
    CHECK(adjusted(logits, row) == Logits{1, 1, 1, 0.5F, 1});
    row.params.dry.allowed_length = 4;
    CHECK(adjusted(logits, row) == logits);
    row.params.dry.allowed_length = 2;
    row.params.dry.breakers = {0};
    CHECK(adjusted(logits, row) == Logits{1, 1, 1, 0.5F, 1});
    row.params.dry.breakers = {1};
    CHECK(adjusted(logits, row) == logits);
    row.params.dry = {.multiplier = 0.5F, .base = 2.0F, .last_n = 5};  // the first repetition is out of sight
    CHECK(adjusted(logits, row) == logits);
    row.params.dry.last_n = 0;
    CHECK(adjusted(logits, row) == logits);
    row.history.assign(5000, 3);
    row.params.dry.last_n = -1;
    const float least = adjusted(logits, row)[3];
    CHECK(least < -1e29F);  // and finite
    CHECK(std::isfinite(least));
    row.history.clear();
    CHECK(adjusted(logits, row) == logits);
}

TEST_CASE("DRY is its definition, on random texts, and leaves nothing behind") {
    std::mt19937 random(5);
    LogitAdjuster adjuster;
    for (int round = 0; round < 2000; ++round) {
        SamplingRow row = row_of({}, 0);
        const auto size = random() % 60, tokens = 2 + random() % 3;
        for (std::size_t i = 0; i < size; ++i) row.history.push_back(static_cast<TokenId>(random() % tokens));
        if (random() % 4 == 0) row.history.push_back(random() % 2 == 0 ? -1 : 99);  // outside of the logits
        row.params.dry = {1.5F,
                          1.1F,
                          static_cast<std::uint32_t>(1 + random() % 4),
                          static_cast<std::int32_t>(random() % 70) - 1,
                          {}};
        if (random() % 2 == 0) row.params.dry.breakers = {static_cast<TokenId>(random() % tokens)};
        const Logits logits = {1, 2, 3, 4, 5};
        const auto result = adjuster.adjust(logits, row);
        CAPTURE(round);
        REQUIRE(Logits(result.begin(), result.end()) == discouraged(logits, row));
        SamplingRow other = row_of({0, 0}, 0);
        other.params.frequency_penalty = 1.0F;
        REQUIRE(adjuster.adjust(logits, other)[0] == -1.0F);
    }
}

TEST_CASE("Greedy and drawn tokens come from the adjusted logits") {
    Sampler sampler;
    SamplingRow row = row_of({2, 2}, 0);
    row.params.temperature = 0.0F;
    const Logits logits = {1.0F, 2.0F, 2.5F};
    CHECK(sampler.sample(logits, row) == 2);
    row.params.frequency_penalty = 0.5F;
    CHECK(sampler.sample(logits, row) == 1);
    row.params.temperature = 1.0F;
    row.params.logit_bias = {{0, 100.0F}};
    for (row.position = 2; row.position < 50; ++row.position) CHECK(sampler.sample(logits, row) == 0);
    row.params.logit_bias = {{0, -infinity}, {1, -infinity}, {2, -infinity}};
    CHECK(sampler.sample(logits, row) == no_token);
}

TEST_CASE("typical_p keeps the tokens whose surprise is nearest to the entropy") {
    // Surprises 0.92, 1.61, 1.61, 1.90, 2.99; the entropy is 1.43: nearest are the two of 0.2.
    const std::vector<double> probabilities = {0.4, 0.2, 0.2, 0.15, 0.05};
    Logits logits;
    for (const double p : probabilities) logits.push_back(static_cast<float>(std::log(p)));
    const auto kept = [&](float typical_p) {
        SamplingParams params;
        params.typical_p = typical_p;
        Sampler sampler;
        std::set<std::size_t> indices;
        const auto weights = sampler.filtered_weights(logits, params);
        for (std::size_t i = 0; i < weights.size(); ++i) {
            if (weights[i] > 0.0F) indices.insert(i);
        }
        return indices;
    };
    using Set = std::set<std::size_t>;
    CHECK(kept(0.1F) == Set{1});
    CHECK(kept(0.3F) == Set{1, 2});
    CHECK(kept(0.5F) == Set{1, 2, 3});
    CHECK(kept(0.8F) == Set{0, 1, 2, 3});
    CHECK(kept(0.99F) == Set{0, 1, 2, 3, 4});
}

TEST_CASE("typical_p agrees with sorting everything, on a large vocabulary") {
    std::mt19937 random(4);
    std::normal_distribution<float> normal(0.0F, 2.0F);
    Logits logits(5000);
    for (float& logit : logits) logit = normal(random);
    double total = 0.0;
    for (const float logit : logits) total += std::exp(double{logit});
    double entropy = 0.0;
    std::vector<std::pair<double, std::size_t>> order;
    for (const float logit : logits) entropy -= std::exp(double{logit}) / total * (logit - std::log(total));
    for (std::size_t i = 0; i < logits.size(); ++i)
        order.emplace_back(std::abs(std::log(total) - logits[i] - entropy), i);
    std::sort(order.begin(), order.end());
    for (const float typical_p : {0.05F, 0.5F, 0.95F}) {
        double sum = 0.0;
        std::size_t expected = 0;
        while (sum < typical_p) sum += std::exp(double{logits[order[expected++].second]}) / total;
        SamplingParams params;
        params.typical_p = typical_p;
        Sampler sampler;
        const auto weights = sampler.filtered_weights(logits, params);
        const auto actual = static_cast<std::size_t>(
            std::count_if(weights.begin(), weights.end(), [](float w) { return w > 0.0F; }));
        CHECK(std::abs(static_cast<double>(actual) - static_cast<double>(expected)) <= 2.0);
        for (std::size_t i = 0; i + 2 < expected; ++i) REQUIRE(weights[order[i].second] > 0.0F);
    }
}

TEST_CASE("XTC leaves out all likely tokens but the last, as often as it is told to") {
    Logits logits;
    for (const double p : {0.4, 0.05, 0.3, 0.2, 0.05}) logits.push_back(static_cast<float>(std::log(p)));
    Sampler sampler;
    SamplingRow row;
    row.params.seed = 3;
    row.params.xtc_threshold = 0.15F;
    const auto count = [&](float probability) {
        row.params.xtc_probability = probability;
        std::map<TokenId, int> counts;
        for (row.position = 0; row.position < 20000; ++row.position) ++counts[sampler.sample(logits, row)];
        return counts;
    };
    auto always = count(1.0F);  // 0.2 and twice 0.05 are left
    CHECK(always[0] + always[2] == 0);
    CHECK(always[3] == Approx(20000 * 0.2 / 0.3).margin(400));
    auto half = count(0.5F);
    CHECK(half[0] == Approx(20000 * 0.5 * 0.4).margin(400));
    CHECK(half[3] == Approx(20000 * (0.5 * 0.2 + 0.5 * 0.2 / 0.3)).margin(400));
    row.params.xtc_threshold = 0.35F;  // only one reaches it: nothing to leave out
    CHECK(count(1.0F)[0] == Approx(20000 * 0.4).margin(400));
}

}  // namespace troupe
