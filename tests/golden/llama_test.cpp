// Reference logits of a tiny random llama in ../shared, from safetensors (bf16), F32 GGUF and Q8_0 GGUF.
#include "test_paths.hpp"
#include "tests/golden/golden.hpp"

namespace troupe {
namespace {

const std::filesystem::path directory = std::filesystem::path(TROUPE_SHARED) / "models/golden/llama-1";

void check_golden(const std::filesystem::path& path, const char* answers) {
    if (!golden::present(path) || !golden::present(directory / answers)) return;
    golden::Runner runner(path, Compute::f32);
    simdjson::dom::parser parser;
    const simdjson::dom::element cases = parser.load((directory / answers).string());
    for (const simdjson::dom::element prompt : cases["prompts"].get_array()) {
        const auto ids = golden::numbers<TokenId>(prompt["ids"]);
        const auto logits = runner.logits(ids, ids.size() - 1);
        CHECK(golden::relative(logits, golden::numbers<double>(prompt["last_logits"])) < 2e-3);
        const auto greedy = golden::numbers<TokenId>(prompt["greedy"]);
        const std::size_t count = golden::certain(golden::numbers<double>(prompt["greedy_margin"]), 0.005);
        const auto generated = runner.generate(ids, count);
        CHECK(std::equal(generated.begin(), generated.end(), greedy.begin()));
    }
}

}  // namespace

TEST_CASE("llama-1 from safetensors agrees with transformers") { check_golden(directory, "golden.json"); }
TEST_CASE("llama-1 from F32 GGUF agrees with transformers") {
    check_golden(directory / "llama-1-F32.gguf", "golden.json");
}
TEST_CASE("llama-1 from Q8_0 GGUF agrees with transformers") {
    check_golden(directory / "llama-1-Q8_0.gguf", "golden-Q8_0.json");
}

}  // namespace troupe
