// What the CPU model computes, beside the invariance of its bits.
#include <limits>

#include "tests/catch.hpp"
#include "tests/cpu/random_model.hpp"

namespace troupe {

TEST_CASE("A sequence whose logits are not finite gets no token, those beside it do") {
    for (const DType type : {DType::f32, DType::q8_0}) {
        RandomModel model(type);
        // Token 5 is poison, the only one with an embedding of NaN.
        std::vector<float> embedding(std::size_t{model.spec.vocab_size} * model.spec.hidden_size, 0.5F);
        for (std::size_t i = 0; i < model.spec.hidden_size; ++i)
            embedding[5 * model.spec.hidden_size + i] = std::numeric_limits<float>::quiet_NaN();
        model.weights->embedding = {DType::f32, model.spec.vocab_size, model.spec.hidden_size,
                                    reinterpret_cast<const std::byte*>(embedding.data())};
        TestRunner runner(model, {});
        TestSequence poisoned = runner.sequence({1, 5, 7});
        TestSequence healthy = runner.sequence({1, 6, 7});
        runner.step({{&poisoned, 3}, {&healthy, 3}});
        std::vector<bool> drawn;
        for (const TokenId token : runner.tokens) drawn.push_back(token != no_token);
        CHECK(drawn == std::vector<bool>{true, false, false, true, true, true});
    }
}

}  // namespace troupe
