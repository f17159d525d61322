#include "tests/model/tokenizer/case_file.hpp"

#include <simdjson.h>

#include "tests/catch.hpp"

namespace troupe::testing {

std::vector<TokenizerCase> read_cases(const std::filesystem::path& path) {
    simdjson::dom::parser parser;
    std::vector<TokenizerCase> cases;
    for (const simdjson::dom::element element : parser.load(path.string()).get_array()) {
        TokenizerCase c;
        std::string_view text;
        c.has_text = !element["text"].get(text);
        c.text = text;
        for (const simdjson::dom::element id : element["ids"].get_array())
            c.ids.push_back(static_cast<TokenId>(int64_t(id)));
        bool flag = false;
        c.options.parse_special = !element["parse_special"].get(flag) && flag;
        c.options.add_special = !element["add_special"].get(flag) && flag;
        c.skip_special = !element["skip_special"].get(flag) && flag;
        std::string_view decoded;
        c.has_decoded = !element["decoded"].get(decoded);
        c.decoded = decoded;
        cases.push_back(std::move(c));
    }
    return cases;
}

namespace {

std::string listed(const std::vector<TokenId>& ids) {
    std::string text;
    for (const TokenId id : ids) text += (text.empty() ? "" : " ") + std::to_string(id);
    return text;
}

std::string streamed(const std::shared_ptr<const Tokenizer>& tokenizer, const TokenizerCase& c) {
    StreamingDetokenizer stream(tokenizer, {.skip_special = c.skip_special});
    std::string text;
    for (const TokenId id : c.ids) text += stream.push(id);
    return text += stream.flush();
}

// Empty: it is right.
std::string what_is_wrong(const std::shared_ptr<const Tokenizer>& tokenizer, const TokenizerCase& c) {
    if (c.has_text) {
        const auto ids = tokenizer->encode(c.text, c.options);
        if (!ids) return ids.error().message;
        if (*ids != c.ids) return "ids " + listed(*ids) + " instead of " + listed(c.ids);
    }
    const std::string decoded = tokenizer->decode(c.ids, {.skip_special = c.skip_special});
    if (c.has_decoded && decoded != c.decoded) return "text '" + decoded + "' instead of '" + c.decoded + "'";
    const std::string stream = streamed(tokenizer, c);
    return stream == decoded ? "" : "streamed text '" + stream + "' instead of '" + decoded + "'";
}

}  // namespace

std::vector<std::string> wrong_cases(const std::shared_ptr<const Tokenizer>& tokenizer,
                                     const std::vector<TokenizerCase>& cases) {
    std::vector<std::string> wrong;
    for (const TokenizerCase& c : cases) {
        const std::string what = what_is_wrong(tokenizer, c);
        if (what.empty()) continue;
        wrong.push_back(what + ", of '" + c.text + "'" + (c.options.parse_special ? ", parse_special" : "") +
                        (c.options.add_special ? ", add_special" : "") +
                        (c.skip_special ? ", skip_special" : ""));
    }
    return wrong;
}

void check_cases(const std::shared_ptr<const Tokenizer>& tokenizer, const std::vector<TokenizerCase>& cases) {
    CHECK(wrong_cases(tokenizer, cases) == std::vector<std::string>());
}

std::shared_ptr<const Tokenizer> load_or_fail(const std::filesystem::path& path) {
    auto tokenizer = load_tokenizer(path);
    if (!tokenizer) FAIL(tokenizer.error().message);
    return *tokenizer;
}

}  // namespace troupe::testing
