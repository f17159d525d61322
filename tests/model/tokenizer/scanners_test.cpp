// The hand-written scanners against the regular expressions that they stand for.
#include "model/tokenizer/scanners.hpp"

#include <chrono>
#include <random>

#include "model/tokenizer/known_patterns.hpp"
#include "model/tokenizer/regex.hpp"
#include "model/tokenizer/unicode_tables.hpp"
#include "model/tokenizer/utf8.hpp"
#include "tests/catch.hpp"

namespace troupe {

namespace {

const std::string_view patterns[] = {gpt2_pattern,   llama3_pattern, qwen2_pattern,
                                     qwen35_pattern, o200k_pattern,  tekken_pattern};

using Ranges = std::vector<std::pair<std::size_t, std::size_t>>;

Ranges matches_of(std::string_view pattern, std::string_view text) {
    const auto regex = Regex::compile(pattern);
    REQUIRE(regex.ok());
    std::vector<Regex::Range> found;
    REQUIRE(Regex::Matcher(*regex).find_all(text, found).ok());
    Ranges ranges;
    for (const auto [begin, end] : found) ranges.emplace_back(begin, end);
    return ranges;
}

// Another pattern with the same meaning has no scanner.
std::string for_pcre2(std::string_view pattern) { return "(?:" + std::string(pattern) + ")"; }

// Of each class that the patterns tell apart, a character that PCRE2 knows whatever its age.
std::string random_character(std::mt19937& random) {
    const std::string_view telling[] = {
        "a",  "b",  "Z", "A",  "é",  "É",  "ǅ", "ʰ", "中",   "日",     "\u0301", "\u0323",
        "1",  "2",  "½", "٣",  "Ⅷ",  " ",  " ", " ", "\t",   "\u3000", "\u00A0", "\n",
        "\r", "\n", "!", "/",  "'",  "'",  "_", "€", "🙂", "\u200D", "\u180E", "\x01",
        "s",  "T",  "ſ", "re", "VE", "ll", "d", "m", "'s",   "'S",     "x",      "\u0E01"};
    return std::string(telling[random() % std::size(telling)]);
}

}  // namespace

TEST_CASE("scanners find what their patterns find") {
    std::mt19937 random(11);
    for (const std::string_view pattern : patterns) {
        REQUIRE(find_scanner(pattern) != nullptr);
        REQUIRE(find_scanner(for_pcre2(pattern)) == nullptr);
        const auto regex = Regex::compile(for_pcre2(pattern));
        REQUIRE(regex.ok());
        for (int round = 0; round < 20000; ++round) {
            std::string text;
            for (std::size_t i = random() % 16; i > 0; --i) text += random_character(random);
            if (round % 4 == 0) {  // runs, which is where backtracking happens
                std::string run = random_character(random);
                for (std::size_t i = random() % 6; i > 0; --i) text += run;
                text += random_character(random);
            }
            std::vector<Regex::Range> found;
            REQUIRE(Regex::Matcher(*regex).find_all(text, found).ok());
            Ranges expected;
            for (const auto [begin, end] : found) expected.emplace_back(begin, end);
            INFO(pattern << "\n'" << text << "'");
            REQUIRE(matches_of(pattern, text) == expected);
        }
    }
}

TEST_CASE("classes of characters are those of PCRE2 where both know the character") {
    const std::pair<const char*, std::uint8_t> classes[] = {{"[\\p{Lu}\\p{Lt}]", unicode::upper},
                                                            {"\\p{Ll}", unicode::lower},
                                                            {"[\\p{Lm}\\p{Lo}]", unicode::caseless},
                                                            {"\\p{M}", unicode::mark},
                                                            {"\\p{N}", unicode::number},
                                                            {"[\\p{P}\\p{S}]", unicode::sign},
                                                            {"\\s", unicode::white_space},
                                                            {"[\\r\\n]", unicode::newline}};
    std::vector<bool> assigned(0x110000);
    std::string every;
    std::vector<std::pair<std::size_t, char32_t>> places;
    for (char32_t c = 0; c < 0x110000; ++c) {
        if (c >= 0xD800 && c < 0xE000) continue;
        places.emplace_back(every.size(), c);
        append_utf8(c, every);
    }
    const auto mark_matches = [&](const char* pattern, auto mark) {
        const auto regex = Regex::compile(pattern);
        REQUIRE(regex.ok());
        std::vector<Regex::Range> found;
        REQUIRE(Regex::Matcher(*regex).find_all(every, found).ok());
        auto place = places.begin();
        for (const auto [begin, end] : found) {
            while (place->first < begin) ++place;
            mark(place->second);
        }
    };
    mark_matches("\\P{Cn}", [&](char32_t c) { assigned[c] = true; });
    for (const auto& [pattern, bit] : classes) {
        std::vector<bool> matches(0x110000);
        mark_matches(pattern, [&](char32_t c) { matches[c] = true; });
        std::size_t different = 0;
        for (char32_t c = 0; c < 0x110000; ++c) {
            if (assigned[c] && matches[c] != ((unicode::class_of(c) & bit) != 0)) ++different;
        }
        INFO(pattern);
        CHECK(different < 20);  // a few change their category with a new Unicode
    }
}

TEST_CASE("scanners take linear time where regular expressions might not") {
    for (const std::string_view pattern : patterns) {
        for (const std::string unit :
             {"A", "中A", "AAAAb", " ", " \n", "\r", "\u0301", "'", "'s", "1", "\t x", "!/"}) {
            std::string text;
            while (text.size() < 2'000'000) text += unit;
            const auto start = std::chrono::steady_clock::now();
            const std::size_t count = matches_of(pattern, text).size();
            const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
            INFO(pattern << " '" << unit << "' " << seconds.count() << " s");
            CHECK(count > 0);
            CHECK(seconds.count() < 10);  // quadratic time would be hours
        }
    }
}

TEST_CASE("groups of three digits are counted from the right") {
    const auto borders = [](std::string_view text) { return matches_of(digit_groups_pattern, text); };
    CHECK(borders("1234567") == Ranges{{1, 1}, {4, 4}});
    CHECK(borders("123456") == Ranges{{0, 0}, {3, 3}});
    CHECK(borders("12") == Ranges{});
    CHECK(borders("a1234b123") == Ranges{{2, 2}, {6, 6}});
}

}  // namespace troupe
