#include "model/tokenizer/normalizer.hpp"

#include <chrono>

#include "tests/catch.hpp"

namespace troupe {

namespace {

std::string normalized(NormalizerStep step, std::string text) {
    std::vector<NormalizerStep> steps;
    steps.push_back(std::move(step));
    const auto out = Normalizer(std::move(steps)).apply(std::move(text));
    REQUIRE(out.ok());
    return *out;
}

}  // namespace

TEST_CASE("Unicode's normalization forms") {
    using Form = NormalizationForm;
    CHECK(normalize_unicode("e\u0301 \u00E9 \uFB01", Form::c) == "\u00E9 \u00E9 \uFB01");
    CHECK(normalize_unicode("e\u0301 \u00E9 \uFB01", Form::d) == "e\u0301 e\u0301 \uFB01");
    CHECK(normalize_unicode("e\u0301 \u00E9 \uFB01 \u00A0", Form::kc) == "\u00E9 \u00E9 fi  ");
    CHECK(normalize_unicode("\u00E9 \uFB01 \u00BD", Form::kd) == "e\u0301 fi 1\u20442");
    CHECK(normalize_unicode("\u1E9B\u0323", Form::c) == "\u1E9B\u0323");  // UAX #15, figure 6
    CHECK(normalize_unicode("\u1E9B\u0323", Form::d) == "\u017F\u0323\u0307");
    CHECK(normalize_unicode("\u1E9B\u0323", Form::kc) == "\u1E69");
    CHECK(normalize_unicode("\u1E9B\u0323", Form::kd) == "s\u0323\u0307");
    CHECK(normalize_unicode("\uD55C", Form::d) == "\u1112\u1161\u11AB");
    CHECK(normalize_unicode("\u1112\u1161\u11AB", Form::c) == "\uD55C");
    CHECK(normalize_unicode("plain", Form::kd) == "plain");
    CHECK(normalize_unicode("", Form::kc).empty());
}

TEST_CASE("normalizers that change characters") {
    CHECK(normalized(LowercaseNormalizer{}, "ÀB\u0130\u03A3 c") == "àbi\u0307\u03C3 c");
    CHECK(normalized(StripAccentsNormalizer{}, "e\u0301\u00E9") == "e\u00E9");
    CHECK(normalized(NmtNormalizer{}, "a\x01\tb\u200B\uFEFFc\x7F") == "a b  c");
    CHECK(normalized(ByteLevelNormalizer{}, " é") == "\u0120\u00C3\u00A9");
    CHECK(normalized(StripNormalizer{true, false}, "\u3000 a ") == "a ");
    CHECK(normalized(PrependNormalizer{"x"}, "") == "");
}

TEST_CASE("long runs of combining marks are sorted in time") {
    std::string text = "a";
    while (text.size() < 1'000'000) text += "\u0301\u0323\u0345";
    const auto start = std::chrono::steady_clock::now();
    for (const auto form : {NormalizationForm::c, NormalizationForm::kd}) {
        const std::string out = normalize_unicode(text, form);
        CHECK(out.size() > 900'000);
        CHECK(normalize_unicode(out, form) == out);
    }
    CHECK(std::chrono::steady_clock::now() - start <
          std::chrono::seconds(20));  // quadratic time would be hours
}

TEST_CASE("charsmaps that lie are refused") {
    CHECK_FALSE(Charsmap::parse("%%%%").ok());
    CHECK_FALSE(Charsmap::parse("").ok());
    CHECK_FALSE(Charsmap::parse("////fw==").ok());         // a trie longer than the map
    const auto map = Charsmap::parse("BAAAAAD8//8AAAAA");  // one unit, which leads out of the trie
    REQUIRE(map.ok());
    const auto text = map->apply("a");
    REQUIRE_FALSE(text.ok());
    CHECK(text.error().message.find("outside of itself") != std::string::npos);
}

}  // namespace troupe
