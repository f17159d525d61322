// Tables of Unicode normalization, each sorted by its first members. Hangul is computed instead.
#pragma once
#include <span>

namespace troupe::nfc {

struct Decomposition {
    char32_t composed, first, second;  // canonical, one step; second = 0: a single character
};
struct Composition {
    char32_t first, second, composed;
};
struct CombiningClass {
    char32_t from, to;
    unsigned char value;  // what is in no range has class 0
};

extern const std::span<const Decomposition> decompositions;
extern const std::span<const Composition> compositions;
extern const std::span<const CombiningClass> combining_classes;

}  // namespace troupe::nfc
