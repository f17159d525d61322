// Every model of tests/data/golden and, where they are, of the design's reference models: logits and greedy
// ids as transformers computes them in float32, from Hugging Face directories and from GGUF files.
#include <set>

#include "test_paths.hpp"
#include "tests/golden/golden.hpp"

namespace troupe {
namespace {

namespace fs = std::filesystem;

const fs::path ours = fs::path(TROUPE_TEST_DATA) / "golden";
const fs::path shared = fs::path(TROUPE_SHARED) / "models/golden";

std::set<fs::path> directories_in(const fs::path& root) {
    std::set<fs::path> directories;
    if (!golden::present(root)) return directories;
    for (const auto& entry : fs::directory_iterator(root))
        if (fs::exists(entry.path() / "golden.json")) directories.insert(entry.path());
    return directories;
}

void check_golden(const fs::path& model, const fs::path& answers) {
    INFO(model.string());
    golden::Runner runner(model, Compute::f32);
    simdjson::dom::parser parser;
    const simdjson::dom::element cases = parser.load(answers.string());
    for (const simdjson::dom::element prompt : cases["prompts"].get_array()) {
        const auto ids = golden::numbers<TokenId>(prompt["ids"]);
        INFO("prompt of " << ids.size());
        const auto logits = runner.logits(ids, ids.size() - 1);
        CHECK(golden::relative(logits, golden::numbers<double>(prompt["last_logits"])) < 2e-3);
        const auto greedy = golden::numbers<TokenId>(prompt["greedy"]);
        std::size_t count = golden::certain(golden::numbers<double>(prompt["greedy_margin"]), 0.005);
        // Where longrope would begin anew with its long factors, we go on with the prompt's.
        const RopeSpec& rope = runner.model.spec.ropes[0];
        if (rope.type == RopeType::longrope && ids.size() <= rope.original_max_position)
            count = std::min(count, rope.original_max_position - ids.size() + 1);
        const auto generated = runner.generate(ids, count);
        CHECK(std::equal(generated.begin(), generated.end(), greedy.begin()));
    }
}

void check_directory(const fs::path& directory) {
    if (fs::exists(directory / "model.safetensors") || fs::exists(directory / "model.safetensors.index.json"))
        check_golden(directory, directory / "golden.json");
    for (const auto& entry : fs::directory_iterator(directory)) {
        if (entry.path().extension() != ".gguf") continue;
        const std::string stem = entry.path().stem().string();
        const fs::path quantized = directory / ("golden-" + stem.substr(stem.rfind('-') + 1) + ".json");
        check_golden(entry.path(), fs::exists(quantized) ? quantized : directory / "golden.json");
    }
}

}  // namespace

TEST_CASE("Models of every family agree with transformers") {
    const auto directories = directories_in(ours);
    CHECK(directories.size() >= 20);
    for (const fs::path& directory : directories) {
        DYNAMIC_SECTION(directory.filename().string()) { check_directory(directory); }
    }
}

TEST_CASE("The reference models agree with transformers") {
    for (const fs::path& directory : directories_in(shared)) {
        DYNAMIC_SECTION(directory.filename().string()) { check_directory(directory); }
    }
}

}  // namespace troupe
