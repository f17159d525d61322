#include "model/tokenizer/utf8.hpp"

#include <random>

#include "tests/catch.hpp"

namespace troupe {

TEST_CASE("bytes that are no characters are replaced as Python does") {
    // What bytes.decode("utf-8", errors="replace") gives.
    const std::pair<std::string, std::string> examples[] = {
        {"plain", "plain"},
        {"\xC3\xA9", "é"},
        {"\x80", "\uFFFD"},
        {"\xC0\xAF", "\uFFFD\uFFFD"},
        {"\xE2\x82", "\uFFFD"},
        {"\xE2\x82z", "\uFFFDz"},
        {"\xE2z\x82", "\uFFFDz\uFFFD"},
        {"\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD"},
        {"\xF0\x9F\x99", "\uFFFD"},
        {"\xF0\x9F\x99\xE2\x82\xAC", "\uFFFD€"},
        {"\xF4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"},
        {"\xF5\xFF", "\uFFFD\uFFFD"},
        {"\xE0\x80\x80", "\uFFFD\uFFFD\uFFFD"},
    };
    for (const auto& [bytes, text] : examples) CHECK(replace_invalid_utf8(bytes) == text);
}

TEST_CASE("a stream of bytes gives whole characters, however it is cut") {
    std::mt19937 random(1);
    const std::string parts[] = {"a",        "é",    "€",    "🙂",     "\xF0", "\x9F",
                                 "\xE2\x82", "\xC3", "\x80", "\xED\xA0", "\xFF"};
    for (int round = 0; round < 2000; ++round) {
        std::string bytes;
        for (int i = 0; i < 12; ++i) bytes += parts[random() % std::size(parts)];
        Utf8Stream stream;
        std::string text;
        for (std::size_t at = 0; at < bytes.size();) {
            const std::size_t size = 1 + random() % 3;
            const std::string piece = stream.push(std::string_view(bytes).substr(at, size));
            REQUIRE(is_valid_utf8(piece));
            text += piece;
            at += size;
        }
        text += stream.flush();
        REQUIRE(text == replace_invalid_utf8(bytes));
    }
}

TEST_CASE("a character comes out when its last byte has come") {
    Utf8Stream stream;
    CHECK(stream.push("x\xF0\x9F").compare("x") == 0);
    CHECK(stream.push("\x99").empty());
    CHECK(stream.push("\x82y") == "🙂y");
    CHECK(stream.flush().empty());
    CHECK(stream.push("\xE2").empty());
    CHECK(stream.flush() == "\uFFFD");
    CHECK(stream.flush().empty());
}

TEST_CASE("code points are encoded and decoded") {
    for (const char32_t code_point : {U'a', U'\u00E9', U'\u20AC', U'\U0001F642', U'\U0010FFFF'}) {
        std::string text;
        append_utf8(code_point, text);
        std::size_t position = 0;
        CHECK(decode_utf8(text, position) == code_point);
        CHECK(position == text.size());
        CHECK(utf8_length(text) == text.size());
    }
}

}  // namespace troupe
