#include "model/logprobs.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "tests/catch.hpp"

namespace troupe {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

}  // namespace

TEST_CASE("The logarithm is the C library's, to 1e-15") {
    std::mt19937_64 random(1);
    std::uniform_real_distribution<double> exponents(-300.0, 300.0);
    for (int i = 0; i < 100000; ++i) {
        const double x = std::pow(10.0, exponents(random));
        REQUIRE(std::abs(log_f64(x) - std::log(x)) <= 1e-15 * std::max(1.0, std::abs(std::log(x))));
    }
    for (const double x : {1.0, 2.0, 0.5, 1.0 + 1e-15, 1.0 - 1e-15, 49152.0})
        CHECK(log_f64(x) == Approx(std::log(x)).margin(1e-15));
    CHECK(log_f64(1.0) == 0.0);
}

TEST_CASE("Log probabilities are those of a softmax in double") {
    std::mt19937 random(2);
    std::normal_distribution<float> normal(0.0F, 4.0F);
    LogprobsMaker maker;
    for (const std::size_t size : {1U, 7U, 512U, 5000U}) {
        std::vector<float> logits(size);
        for (float& logit : logits) logit = normal(random);
        double sum = 0.0;
        for (const float logit : logits) sum += std::exp(double{logit});
        std::vector<std::size_t> order(size);
        for (std::size_t i = 0; i < size; ++i) order[i] = i;
        std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return logits[a] > logits[b]; });
        const auto token = static_cast<TokenId>(size / 2);
        const PositionLogprobs made = maker.make(logits, token, 5);
        const double expected = double{logits[size / 2]} - std::log(sum);
        CHECK(made.token.token == token);
        CHECK(std::abs(made.token.logprob - expected) < 2e-6 * std::max(1.0, std::abs(expected)));
        CHECK(order[made.rank - 1] == size / 2);
        REQUIRE(made.top.size() == std::min<std::size_t>(5, size));
        for (std::size_t i = 0; i < made.top.size(); ++i) {
            CHECK(made.top[i].token == static_cast<TokenId>(order[i]));
            CHECK(std::abs(made.top[i].logprob - (logits[order[i]] - std::log(sum))) < 1e-5);
        }
        CHECK(maker.make(logits, token, 0).token == made.token);
    }
}

TEST_CASE("Ties, infinities and broken logits") {
    LogprobsMaker maker;
    const auto tied = maker.make(std::vector<float>{1, 3, 3, 1}, 2, 3);
    CHECK(tied.rank == 1);
    CHECK(tied.top[0].token == 1);
    CHECK(tied.top[1].token == 2);
    CHECK(tied.top[2].token == 0);
    const auto broken = maker.make(std::vector<float>{nan, 0.0F, -infinity}, 0, 3);
    CHECK(broken.token.logprob == -infinity);
    CHECK(broken.top[0] == TokenLogprob{1, 0.0F});
    CHECK(broken.top[1] == TokenLogprob{0, -infinity});
    CHECK(maker.make(std::vector<float>{infinity, 0.0F}, 1, 1).token.logprob == -infinity);
    CHECK(maker.make(std::vector<float>{nan, nan}, 1, 1).token.logprob == -infinity);
    CHECK(maker.make(std::vector<float>{0.0F, -1e30F}, 1, 0).token.logprob == -1e30F);
}

}  // namespace troupe
