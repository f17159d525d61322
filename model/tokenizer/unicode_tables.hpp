// Tables of Unicode, each sorted by its first members, and the class of a character. Hangul is computed
// instead.
#pragma once
#include <cstdint>
#include <span>

namespace troupe::unicode {

struct Decomposition {
    char32_t composed, first, second;  // canonical, one step; second = 0: a single character
};
struct Composition {
    char32_t first, second, composed;
};
struct Compatibility {  // decomposed in full: `count` of compatibility_parts, from `start`
    char32_t composed;
    std::uint16_t start, count;
};
struct Lowercase {
    char32_t upper, first, second;  // second = 0: a single character
};
struct ClassRun {
    char32_t first;  // to before the first of the next run
    std::uint8_t value;
};

extern const std::span<const Decomposition> decompositions;
extern const std::span<const Composition> compositions;
extern const std::span<const Compatibility> compatibilities;
extern const std::span<const char32_t> compatibility_parts;
extern const std::span<const ClassRun> combining_classes;
extern const std::span<const Lowercase> lowercases;
extern const std::span<const ClassRun> character_classes;

// General categories, as far as splitting texts needs them; a character has one bit, none, or for the two
// newlines white_space besides.
enum CharacterClass : std::uint8_t {
    upper = 1,         // Lu, Lt
    lower = 2,         // Ll
    caseless = 4,      // Lm, Lo
    mark = 8,          // Mn, Mc, Me
    number = 16,       // Nd, Nl, No
    white_space = 32,  // the property White_Space
    newline = 64,      // \r, \n
    sign = 128,        // P*, S*
    letter = upper | lower | caseless
};

// 0x110000 bytes, one for each code point; made at the first call.
const std::uint8_t* class_of_characters();
inline std::uint8_t class_of(char32_t c) { return class_of_characters()[c]; }

}  // namespace troupe::unicode
