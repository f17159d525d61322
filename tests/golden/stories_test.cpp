// The 260K-parameter model in tests/data, from both formats: its greedy stories, token by token.
#include "test_paths.hpp"
#include "tests/golden/golden.hpp"

namespace troupe {
namespace {

const std::filesystem::path directory = std::filesystem::path(TROUPE_TEST_DATA) / "stories260k";

void check_stories(const std::filesystem::path& path, Compute compute) {
    golden::Runner runner(path, compute);
    simdjson::dom::parser parser;
    const simdjson::dom::element cases = parser.load((directory / "expected.json").string());
    for (const simdjson::dom::element story : cases.get_array()) {
        const auto greedy = golden::numbers<TokenId>(story["greedy"]);
        CHECK(runner.generate(golden::numbers<TokenId>(story["ids"]), greedy.size()) == greedy);
    }
}

}  // namespace

TEST_CASE("stories260k tells the expected stories from safetensors") {
    check_stories(directory, Compute::f32);
}

TEST_CASE("stories260k tells the expected stories from GGUF") {
    check_stories(directory / "stories260k-F32.gguf", Compute::f32);
}

TEST_CASE("stories260k tells the same stories with its KV in half precision") {
    check_stories(directory, Compute::automatic);
}

TEST_CASE("The two formats of stories260k hold the same facts") {
    const auto hf = load_model(directory);
    const auto gguf = load_model(directory / "stories260k-F32.gguf");
    REQUIRE(hf.ok());
    REQUIRE(gguf.ok());
    CHECK(hf->name == "stories260k");
    CHECK(gguf->name == "stories260k-F32");
    CHECK(hf->generation.end_token_ids == std::vector<TokenId>{2});
    CHECK(gguf->generation.end_token_ids == std::vector<TokenId>{2});
    CHECK(hf->spec.head_dim == gguf->spec.head_dim);
    CHECK(hf->spec.max_position == gguf->spec.max_position);
    CHECK(hf->bos_token == "<s>");
    CHECK(gguf->eos_token == "</s>");
}

}  // namespace troupe
