// The search for the scale, and the minimum, of 32 weights that share one: x_i ~ scale * q_i + minimum with
// q_i an integer of a few bits. Weighted least squares over codes that come from several scales near the
// plain one, as the k-quants of llama.cpp are described (https://github.com/ggml-org/llama.cpp/pull/1684):
// the best of them is refined by rounding anew with its own result. A weight counts by its size: rms + |x|.
#pragma once
#include <cstddef>

namespace troupe {

constexpr std::size_t fit_group = 32;

struct Fit {
    float scale = 0.0F;
    float minimum = 0.0F;
};

// Importance of each of 32 values. False if one is not finite.
bool fit_weights(const float* x, float* weights);

// Codes 0 to 15; a minimum of any sign, or none above 0.
Fit fit_with_minimum(const float* x, const float* weights, bool minimum_below_zero);

// Codes -8 to 7, no minimum.
float fit_signed(const float* x, const float* weights);

// To the nearest integer, ties to even, of what is within +-2^22. Of a number or of several (Lanes).
template <class Number>
Number nearest(Number x) {
    return (x + 12582912.0F) - 12582912.0F;
}

inline float clamped(float x, float low, float high) {
    const float above = x < low ? low : x;
    return above > high ? high : above;
}

// Four numbers at a time: each is what it would be by itself, whatever the machine has. (A vector extension
// of GCC and Clang; what they make of loops over floats by themselves is three times slower.)
using Lanes = float __attribute__((vector_size(16)));

inline Lanes load_lanes(const float* from) {
    Lanes lanes;
    __builtin_memcpy(&lanes, from, sizeof lanes);
    return lanes;
}
inline Lanes all_lanes(float x) { return Lanes{x, x, x, x}; }
inline Lanes clamped(Lanes x, float low, float high) {
    x = x < low ? all_lanes(low) : x;
    return x > high ? all_lanes(high) : x;
}
inline float sum_of(Lanes lanes) { return (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]); }

}  // namespace troupe
