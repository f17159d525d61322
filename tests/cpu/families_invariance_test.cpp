// Law 3 for what the families add: windows, sinks, soft caps, norms of every kind, experts, and angles that
// depend on a sequence's length. The models are those of tests/golden; everything compares for equality.
#include <filesystem>

#include "model/loader.hpp"
#include "test_paths.hpp"
#include "tests/catch.hpp"
#include "tests/cpu/random_model.hpp"

namespace troupe {
namespace {

using Options = TestRunner::Options;
using Logits = std::vector<std::vector<float>>;

constexpr const char* models[] = {"gemma2-2/gemma2-2-BF16.gguf",
                                  "gemma3-2",
                                  "gpt-oss-2",
                                  "gpt-oss-2/gpt-oss-2-MXFP4.gguf",
                                  "granite-2",
                                  "llama-dynamic",
                                  "mixtral-2/mixtral-2-Q8_0.gguf",
                                  "olmo2-2",
                                  "phi3-long",
                                  "qwen2-moe",
                                  "qwen3-2",
                                  "qwen3-moe",
                                  "smollm3-2"};

std::vector<TokenId> ids_of(std::size_t count, unsigned seed) {
    std::vector<TokenId> ids = random_ids(count, seed);
    for (TokenId& id : ids) id %= 256;
    return ids;
}

const std::vector<TokenId> prompt = ids_of(131, 1);

template <class F>
void for_all_models(F check) {
    for (const char* name : models) {
        const auto model = load_model(std::filesystem::path(TROUPE_TEST_DATA) / "golden" / name);
        if (!model) FAIL(model.error().message);
        for (const Compute compute : {Compute::automatic, Compute::f32}) {
            INFO(name << (compute == Compute::f32 ? " f32" : " automatic"));
            check(*model, compute);
        }
    }
}

}  // namespace

TEST_CASE("Families: chunked prefill and decode equal whole prefill") {
    for_all_models([](const LoadedModel& model, Compute compute) {
        const Logits whole = TestRunner(model, {compute}).whole(prompt, prompt.size());
        for (const std::size_t chunk : {1, 7, 64})
            CHECK(TestRunner(model, {compute}).whole(prompt, chunk) == whole);
    });
}

TEST_CASE("Families: a batched sequence equals itself alone") {
    for_all_models([](const LoadedModel& model, Compute compute) {
        const Logits alone = TestRunner(model, {compute}).whole(prompt, prompt.size());
        TestRunner runner(model, {compute});
        std::vector<TestSequence> sequences = {runner.sequence(ids_of(40, 2)), runner.sequence(prompt),
                                               runner.sequence(ids_of(120, 3))};
        runner.step({{&sequences[0], 39}, {&sequences[2], 90}});
        const Logits first = runner.step({{&sequences[0], 1}, {&sequences[1], 100}, {&sequences[2], 17}});
        const Logits second = runner.step({{&sequences[1], 31}, {&sequences[2], 3}});
        for (std::size_t i = 0; i < prompt.size(); ++i)
            REQUIRE((i < 100 ? first[1 + i] : second[i - 100]) == alone[i]);
    });
}

TEST_CASE("Families: threads, block size and kernel path change nothing") {
    for_all_models([](const LoadedModel& model, Compute compute) {
        const Logits one = TestRunner(model, {compute}).whole(prompt, 50);
        CHECK(TestRunner(model, {compute, 3}).whole(prompt, 50) == one);
        CHECK(TestRunner(model, {compute, 2, 3}).whole(prompt, 131) == one);
        CHECK(TestRunner(model, {compute, 1, 16, KernelPath::portable}).whole(prompt, 50) == one);
    });
}

}  // namespace troupe
