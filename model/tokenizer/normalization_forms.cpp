#include "model/tokenizer/normalization_forms.hpp"

#include <algorithm>
#include <tuple>
#include <vector>

#include "model/tokenizer/unicode_tables.hpp"
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

// Below it nothing decomposes but what compatibility does to Latin-1's signs, and no character combines.
constexpr char32_t first_decomposing = 0xA0;

unsigned char combining_class(char32_t c) {
    const auto run =
        std::upper_bound(unicode::combining_classes.begin(), unicode::combining_classes.end(), c,
                         [](char32_t value, const unicode::ClassRun& r) { return value < r.first; });
    return (run - 1)->value;  // the first run begins at 0
}

// The entry of a table whose first member is `c`, or null.
template <typename Entry>
const Entry* find_entry(std::span<const Entry> table, char32_t Entry::*key, char32_t c) {
    const auto found = std::lower_bound(table.begin(), table.end(), c,
                                        [key](const Entry& e, char32_t value) { return e.*key < value; });
    return found == table.end() || (*found).*key != c ? nullptr : &*found;
}

void decompose(char32_t c, bool compatibly, std::vector<Character>& out) {
    if (c < first_decomposing) {
        out.push_back({c, 0});
        return;
    }
    if (c - hangul_base < num_hangul) {
        const char32_t index = c - hangul_base;
        out.push_back({leading_base + index / (num_vowels * num_trailing), 0});
        out.push_back({vowel_base + index / num_trailing % num_vowels, 0});
        if (index % num_trailing != 0) out.push_back({trailing_base + index % num_trailing, 0});
        return;
    }
    if (compatibly) {
        if (const auto* entry = find_entry(unicode::compatibilities, &unicode::Compatibility::composed, c)) {
            for (const char32_t part : unicode::compatibility_parts.subspan(entry->start, entry->count))
                out.push_back({part, combining_class(part)});
            return;
        }
    }
    const auto* entry = find_entry(unicode::decompositions, &unicode::Decomposition::composed, c);
    if (entry == nullptr) {
        out.push_back({c, combining_class(c)});
        return;
    }
    decompose(entry->first, compatibly, out);
    if (entry->second != 0) decompose(entry->second, compatibly, out);
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
        unicode::compositions.begin(), unicode::compositions.end(), std::tuple(first, second),
        [](const unicode::Composition& c, const auto& pair) { return std::tuple(c.first, c.second) < pair; });
    const bool composes =
        found != unicode::compositions.end() && found->first == first && found->second == second;
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

// The first byte of the characters below which a form changes nothing.
unsigned char first_changing_byte(NormalizationForm form) {
    switch (form) {
        case NormalizationForm::c:
            return 0xCC;  // U+0300
        case NormalizationForm::d:
            return 0xC3;  // U+00C0
        case NormalizationForm::kc:
        case NormalizationForm::kd:
            return 0xC2;  // U+0080
    }
    return 0;
}

}  // namespace

std::string normalize_unicode(std::string_view text, NormalizationForm form) {
    const auto may_change = [first = first_changing_byte(form)](char c) {
        return static_cast<unsigned char>(c) >= first;
    };
    if (std::none_of(text.begin(), text.end(), may_change)) return std::string(text);
    const bool compatibly = form == NormalizationForm::kc || form == NormalizationForm::kd;
    std::vector<Character> characters;
    characters.reserve(text.size());
    for (std::size_t i = 0; i < text.size();) decompose(decode_utf8(text, i), compatibly, characters);
    sort_accents(characters);
    if (form == NormalizationForm::c || form == NormalizationForm::kc) compose_all(characters);
    std::string out;
    out.reserve(text.size());
    for (const Character c : characters) append_utf8(c.code_point, out);
    return out;
}

}  // namespace troupe
