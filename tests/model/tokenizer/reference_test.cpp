// Against ids of other tokenizers: vectors in tests/data for everyone, larger ones in ../shared where it
// exists.
#include <simdjson.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>

#include "test_paths.hpp"
#include "tests/catch.hpp"
#include "tests/model/tokenizer/case_file.hpp"

namespace troupe {

namespace {

using testing::check_cases;
using testing::load_or_fail;
using testing::read_cases;
namespace fs = std::filesystem;

const fs::path data = TROUPE_TEST_DATA;
const fs::path shared = TROUPE_SHARED;

bool have(const fs::path& path) {
    if (fs::exists(path)) return true;
    std::cout << "skipped: " << path << " is not here\n";
    return false;
}

std::string read_text(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

std::string one_line(std::string text) {
    for (char& c : text) c = c == '\n' || c == '\r' ? '|' : c;
    return text;
}

// Texts of `inp` are separated by marker lines; line i of `out` holds the ids of text i.
void check_vectors(const fs::path& vocabulary) {
    INFO(vocabulary);
    const std::string separator = "\n__ggml_vocab_test__\n";
    std::string inputs = read_text(vocabulary.string() + ".inp");
    std::istringstream outputs(read_text(vocabulary.string() + ".out"));
    const auto tokenizer = load_or_fail(vocabulary);
    std::vector<testing::TokenizerCase> cases;
    std::string line;
    for (std::size_t begin = 0; std::getline(outputs, line);) {
        const std::size_t end = inputs.find(separator, begin);
        testing::TokenizerCase c;
        c.text = inputs.substr(begin, end == std::string::npos ? end : end - begin);
        std::istringstream ids(line);
        for (TokenId id; ids >> id;) c.ids.push_back(id);
        cases.push_back(std::move(c));
        if (end == std::string::npos) break;
        begin = end + separator.size();
    }
    CHECK(cases.size() > 30);
    check_cases(tokenizer, cases);
}

}  // namespace

TEST_CASE("gpt-2's vocabulary gives the published ids") {
    check_vectors(data / "tokenizers/ggml-vocab-gpt-2.gguf");
}

TEST_CASE("small vocabularies give the ids of Hugging Face tokenizers") {
    for (const std::string name : {"byte-level", "split", "nfc", "sentencepiece", "metaspace", "added",
                                   "unigram", "o200k", "falcon", "normalized", "affixes"}) {
        INFO(name);
        check_cases(load_or_fail(data / "tokenizers" / name),
                    read_cases(data / "tokenizers" / name / "cases.json"));
    }
}

TEST_CASE("published vocabularies give the published ids") {
    if (!have(shared / "data/vocab")) return;
    for (const auto& entry : fs::directory_iterator(shared / "data/vocab")) {
        if (entry.path().extension() == ".gguf") check_vectors(entry.path());
    }
}

TEST_CASE("the default model's tokenizer gives the reference ids") {
    const char* model = std::getenv("TROUPE_DEFAULT_MODEL");
    const fs::path reference = shared / "models/smollm2-135m";
    if (!have(model == nullptr ? "$TROUPE_DEFAULT_MODEL" : model) || !have(reference)) return;
    const auto tokenizer = load_or_fail(model);
    check_cases(tokenizer, read_cases(reference / "tokenize.json"));
    simdjson::dom::parser parser;
    for (const simdjson::dom::element element :
         parser.load((reference / "expected.json").string()).get_array()) {
        std::vector<TokenId> expected;
        for (const int64_t id : element["ids"].get_array()) expected.push_back(static_cast<TokenId>(id));
        const std::string text{std::string_view(element["rendered"])};
        CAPTURE(text);
        const auto ids = tokenizer->encode(text, {.parse_special = true, .add_special = true});
        REQUIRE(ids.ok());
        CHECK(*ids == expected);
        CHECK(tokenizer->decode(expected, {.skip_special = false}) == text);
    }
}

TEST_CASE("stories260k's tokenizers give the reference ids and text") {
    const fs::path model = data / "stories260k";
    for (const auto& path : {model, model / "stories260k-F32.gguf"}) {
        INFO(path);
        const auto tokenizer = load_or_fail(path);
        CHECK(tokenizer->bos_token() == "<s>");
        CHECK(tokenizer->eos_id() == 2);
        simdjson::dom::parser parser;
        for (const simdjson::dom::element element :
             parser.load((model / "expected.json").string()).get_array()) {
            const auto ids = tokenizer->encode(std::string_view(element["prompt"]),
                                               {.parse_special = true, .add_special = true});
            std::vector<TokenId> expected;
            for (const int64_t id : element["ids"].get_array()) expected.push_back(static_cast<TokenId>(id));
            REQUIRE(ids.ok());
            CHECK(*ids == expected);
            for (const int64_t id : element["greedy"].get_array())
                expected.push_back(static_cast<TokenId>(id));
            CHECK(tokenizer->decode(expected) == std::string_view(element["full_text"]));
        }
    }
}

TEST_CASE("the golden models' tokenizers load") {
    if (!have(shared / "models/golden")) return;
    for (const auto& entry : fs::directory_iterator(shared / "models/golden")) {
        const auto tokenizer = load_or_fail(entry.path());
        CHECK(tokenizer->vocab_size() == 448);
        CHECK(tokenizer->bos_token() == "<|bos|>");
    }
}

// Run by differential.py and gguf_differential.py: a folder of tokenizers, each with the ids and texts of
// Python's.
TEST_CASE("random tokenizers do as those of Python do", "[.differential]") {
    const char* folder = std::getenv("TROUPE_DIFF");
    REQUIRE(folder != nullptr);
    for (const auto& entry : fs::directory_iterator(folder)) {
        const std::string name = entry.path().filename();
        const fs::path gguf = entry.path() / "vocabulary.gguf";
        const auto tokenizer = load_tokenizer(fs::exists(gguf) ? gguf : entry.path());
        if (!tokenizer) {
            const std::string& message = tokenizer.error().message;
            std::cout << "REFUSED " << name << ": " << message.substr(message.find(": ") + 2) << "\n";
            continue;
        }
        for (const std::string& wrong :
             testing::wrong_cases(*tokenizer, read_cases(entry.path() / "cases.json")))
            std::cout << "DIFFERENT " << name << " " << one_line(wrong) << "\n";
    }
    std::cout << "FINISHED\n";
}

}  // namespace troupe
