#include "tests/model/tokenizer/case_file.hpp"

#include <simdjson.h>

#include "tests/catch.hpp"

namespace troupe::testing {

std::vector<TokenizerCase> read_cases(const std::filesystem::path& path) {
    simdjson::dom::parser parser;
    std::vector<TokenizerCase> cases;
    for (const simdjson::dom::element element : parser.load(path.string()).get_array()) {
        TokenizerCase c;
        c.text = std::string(std::string_view(element["text"]));
        for (const simdjson::dom::element id : element["ids"].get_array())
            c.ids.push_back(static_cast<TokenId>(int64_t(id)));
        bool flag = false;
        c.options.parse_special = !element["parse_special"].get(flag) && flag;
        c.options.add_special = !element["add_special"].get(flag) && flag;
        std::string_view decoded;
        c.has_decoded = !element["decoded"].get(decoded);
        c.decoded = decoded;
        cases.push_back(std::move(c));
    }
    return cases;
}

void check_cases(const std::shared_ptr<const Tokenizer>& tokenizer, const std::vector<TokenizerCase>& cases) {
    for (const TokenizerCase& c : cases) {
        CAPTURE(c.text, c.options.parse_special, c.options.add_special);
        const auto ids = tokenizer->encode(c.text, c.options);
        REQUIRE(ids.ok());
        CHECK(*ids == c.ids);
        const DecodeOptions keep_special{.skip_special = false};
        const std::string decoded = tokenizer->decode(c.ids, keep_special);
        if (c.has_decoded) CHECK(decoded == c.decoded);
        StreamingDetokenizer stream(tokenizer, keep_special);
        std::string streamed;
        for (const TokenId id : c.ids) streamed += stream.push(id);
        streamed += stream.flush();
        CHECK(streamed == decoded);
    }
}

std::shared_ptr<const Tokenizer> load_or_fail(const std::filesystem::path& path) {
    auto tokenizer = load_tokenizer(path);
    if (!tokenizer) FAIL(tokenizer.error().message);
    return *tokenizer;
}

}  // namespace troupe::testing
