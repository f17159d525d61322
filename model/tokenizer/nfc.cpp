#include "model/tokenizer/nfc.hpp"

#include <algorithm>
#include <tuple>
#include <vector>

#include "model/tokenizer/nfc_tables.hpp"
#include "model/tokenizer/utf8.hpp"

namespace troupe {

namespace {

// The Unicode Standard, section 3.12: Hangul syllables are made of up to three jamo, by arithmetic.
constexpr char32_t hangul_base = 0xAC00, leading_base = 0x1100, vowel_base = 0x1161, trailing_base = 0x11A7;
constexpr char32_t num_leading = 19, num_vowels = 21, num_trailing = 28;
constexpr char32_t num_hangul = num_leading * num_vowels * num_trailing;

struct Character {
    char32_t code_point;
    unsigned char combining_class;
};

unsigned char combining_class(char32_t c) {
    const auto range =
        std::lower_bound(nfc::combining_classes.begin(), nfc::combining_classes.end(), c,
                         [](const nfc::CombiningClass& r, char32_t value) { return r.to < value; });
    return range != nfc::combining_classes.end() && range->from <= c ? range->value : 0;
}

void decompose(char32_t c, std::vector<Character>& out) {
    if (c - hangul_base < num_hangul) {
        const char32_t index = c - hangul_base;
        out.push_back({leading_base + index / (num_vowels * num_trailing), 0});
        out.push_back({vowel_base + index / num_trailing % num_vowels, 0});
        if (index % num_trailing != 0) out.push_back({trailing_base + index % num_trailing, 0});
        return;
    }
    const auto found =
        std::lower_bound(nfc::decompositions.begin(), nfc::decompositions.end(), c,
                         [](const nfc::Decomposition& d, char32_t value) { return d.composed < value; });
    if (found == nfc::decompositions.end() || found->composed != c) {
        out.push_back({c, combining_class(c)});
        return;
    }
    decompose(found->first, out);
    if (found->second != 0) decompose(found->second, out);
}

// 0: the pair does not compose.
char32_t compose(char32_t first, char32_t second) {
    if (first - leading_base < num_leading && second - vowel_base < num_vowels) {
        return hangul_base + ((first - leading_base) * num_vowels + (second - vowel_base)) * num_trailing;
    }
    if (first - hangul_base < num_hangul && (first - hangul_base) % num_trailing == 0 &&
        second - trailing_base - 1 < num_trailing - 1) {
        return first + (second - trailing_base);
    }
    const auto found = std::lower_bound(
        nfc::compositions.begin(), nfc::compositions.end(), std::tuple(first, second),
        [](const nfc::Composition& c, const auto& pair) { return std::tuple(c.first, c.second) < pair; });
    const bool composes =
        found != nfc::compositions.end() && found->first == first && found->second == second;
    return composes ? found->composed : 0;
}

// Accents of one character in the order of their classes.
void sort_accents(std::vector<Character>& text) {
    for (auto begin = text.begin(); begin != text.end();) {
        if (begin->combining_class == 0) {
            ++begin;
            continue;
        }
        const auto end =
            std::find_if(begin, text.end(), [](const Character& c) { return c.combining_class == 0; });
        std::stable_sort(begin, end, [](const Character& a, const Character& b) {
            return a.combining_class < b.combining_class;
        });
        begin = end;
    }
}

// UAX #15, definition of composition: each character with the last starter before it, unless blocked.
void compose_all(std::vector<Character>& text) {
    std::size_t kept = 0;
    std::size_t starter = text.size();  // none yet
    for (const Character c : text) {
        const bool blocked = starter == text.size() ||
                             (kept > starter + 1 && text[kept - 1].combining_class >= c.combining_class);
        const char32_t composed = blocked ? 0 : compose(text[starter].code_point, c.code_point);
        if (composed != 0) {
            text[starter].code_point = composed;
            continue;
        }
        if (c.combining_class == 0) starter = kept;
        text[kept++] = c;
    }
    text.resize(kept);
}

}  // namespace

std::string to_nfc(std::string_view text) {
    // Below U+0300 nothing changes, and those are the characters whose first byte is below 0xCC.
    const auto may_change = [](char c) { return static_cast<unsigned char>(c) >= 0xCC; };
    if (std::none_of(text.begin(), text.end(), may_change)) return std::string(text);
    std::vector<Character> characters;
    characters.reserve(text.size());
    for (std::size_t i = 0; i < text.size();) decompose(decode_utf8(text, i), characters);
    sort_accents(characters);
    compose_all(characters);
    std::string out;
    out.reserve(text.size());
    for (const Character c : characters) out += encode_utf8(c.code_point);
    return out;
}

}  // namespace troupe
