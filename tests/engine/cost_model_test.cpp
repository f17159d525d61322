#include "engine/cost_model.hpp"

#include <random>

#include "tests/catch.hpp"

namespace troupe {
namespace {

TEST_CASE("the cost model finds the coefficients of a linear machine") {
    CostModel model;
    CHECK(model.cost() == StepCost{});
    std::mt19937 random(1);
    for (int i = 0; i < 2000; ++i) {
        const std::uint64_t tokens = 1 + random() % 500;
        const std::uint64_t context = tokens + random() % 20000;
        const double noise = static_cast<double>(random() % 200) - 100.0;
        model.observe(
            tokens, context,
            2000.0 + 50.0 * static_cast<double>(tokens) + 0.2 * static_cast<double>(context) + noise);
    }
    const StepCost cost = model.cost();
    CHECK(cost.base_us == Approx(2000).epsilon(0.05));
    CHECK(cost.per_token_us == Approx(50).epsilon(0.02));
    CHECK(cost.per_context_token_us == Approx(0.2).epsilon(0.05));
}

TEST_CASE("it follows a machine that became slower") {
    CostModel model;
    for (int i = 0; i < 3000; ++i) {
        const std::uint64_t tokens = 1 + static_cast<std::uint64_t>(i) % 32;
        model.observe(tokens, tokens * 10, (i < 1000 ? 100.0 : 300.0) * static_cast<double>(tokens));
    }
    const StepCost cost = model.cost();
    CHECK(cost.base_us + cost.per_token_us * 16 + cost.per_context_token_us * 160 ==
          Approx(4800).epsilon(0.05));
}

TEST_CASE("steps that all look alike are predicted, without negative coefficients") {
    CostModel model;
    for (int i = 0; i < 500; ++i) model.observe(8, 800, 4000);
    const StepCost cost = model.cost();
    CHECK(cost.base_us >= 0);
    CHECK(cost.per_token_us >= 0);
    CHECK(cost.per_context_token_us >= 0);
    CHECK(cost.base_us + cost.per_token_us * 8 + cost.per_context_token_us * 800 ==
          Approx(4000).epsilon(0.02));
}

}  // namespace
}  // namespace troupe
