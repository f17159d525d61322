// Files of tokenizers that were cut off, changed or made to lie: an error or a tokenizer, but no crash.
#include <fstream>
#include <random>
#include <sstream>

#include "test_paths.hpp"
#include "tests/catch.hpp"
#include "tests/model/formats/file_builders.hpp"
#include "tests/model/tokenizer/case_file.hpp"

namespace troupe {

namespace {

using testing::TempDirectory;
const std::filesystem::path vocabularies = std::filesystem::path(TROUPE_TEST_DATA) / "tokenizers";

std::string read_text(const std::filesystem::path& path) {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return text.str();
}

// Whether it loads; uses it if it does.
bool try_file(const std::filesystem::path& path) {
    const auto tokenizer = load_tokenizer(path);
    if (!tokenizer) {
        CHECK_FALSE(tokenizer.error().message.empty());
        return false;
    }
    const auto ids =
        (*tokenizer)->encode(" The lamp\tlights é 日本 🙂 <|bos|></s> 123456", {.parse_special = true});
    std::vector<TokenId> some = {-1, 0, 1, 2, 100, 1 << 30};
    if (ids) some.insert(some.end(), ids->begin(), ids->end());
    CHECK(is_valid_utf8((*tokenizer)->decode(some)));
    return true;
}

}  // namespace

TEST_CASE("damaged tokenizer.json files are errors or work") {
    const TempDirectory directory;
    std::mt19937 random(3);
    const std::string values[] = {"true",       "null", "[]",    "{}",   "-1",
                                  "4000000000", "1e99", "\"x\"", "\"\"", "[[\"a\",1]]"};
    for (const std::string name : {"unigram", "added", "affixes", "split"}) {
        const std::string whole = read_text(vocabularies / name / "tokenizer.json");
        int loaded = 0;
        for (int round = 0; round < 400; ++round) {
            std::string file = whole;
            const std::size_t at = random() % file.size();
            if (round % 4 == 0) {
                file.resize(at);
            } else if (round % 4 == 1) {
                file[at] = static_cast<char>(random());
            } else {  // another value for some key, mostly near the start, where the components are
                const std::size_t colon = file.find("\":", round % 4 == 2 ? at : at % 3000);
                if (colon == std::string::npos) continue;
                const std::size_t end = file.find_first_of(",}", colon + 2);
                file.replace(colon + 2, end - colon - 2, values[random() % std::size(values)]);
            }
            INFO(name << " " << round);
            loaded += try_file(directory.write("tokenizer.json", file)) ? 1 : 0;
        }
        CHECK(loaded > 0);  // else nothing was tried
        CHECK(loaded < 400);
    }
}

TEST_CASE("damaged GGUF vocabularies are errors or work") {
    const TempDirectory directory;
    std::mt19937 random(4);
    const std::string whole = read_text(vocabularies.parent_path() / "stories260k/stories260k-F32.gguf");
    const std::size_t metadata = std::min<std::size_t>(whole.size(), 12'000);
    for (int round = 0; round < 200; ++round) {
        std::string file = round % 4 == 0 ? whole.substr(0, random() % metadata) : whole;
        if (round % 4 != 0) file[random() % metadata] = static_cast<char>(random());
        INFO(round);
        try_file(directory.write("t.gguf", file));
    }
}

}  // namespace troupe
