// Tables of Unicode character properties, sorted by code point. Internal to unicode.cpp.
#pragma once
#include <cstdint>
#include <span>

namespace troupe::jinja::unicode {

struct Range {
    char32_t first, last;
};
// Every step-th code point of the range maps to itself plus delta.
struct CaseRange {
    char32_t first, last;
    char32_t step;
    int32_t delta;
};
// Maps to several characters.
struct CaseSpecial {
    char32_t code_point;
    const char* text;
};

struct Tables {
    std::span<const Range> alpha, decimal, upper, lower, unprintable;
    std::span<const CaseRange> to_upper, to_lower;
    std::span<const CaseSpecial> to_upper_special, to_lower_special;
};
extern const Tables tables;

}  // namespace troupe::jinja::unicode
