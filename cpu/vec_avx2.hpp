// Sixteen float lanes in two AVX2 registers. Included only by files compiled for AVX2, FMA and F16C.
#pragma once
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "model/exp.hpp"
#include "model/float16.hpp"

namespace troupe {

struct VecAvx2 {
    static constexpr std::size_t lanes = 16;
    __m256 low, high;

    static VecAvx2 broadcast(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
    static VecAvx2 zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }

    static VecAvx2 load(const float* from) { return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)}; }
    static VecAvx2 load(const Half* from) {
        const auto* at = reinterpret_cast<const __m128i*>(from);
        return {_mm256_cvtph_ps(_mm_loadu_si128(at)), _mm256_cvtph_ps(_mm_loadu_si128(at + 1))};
    }
    static VecAvx2 load(const BFloat16* from) {
        const auto* at = reinterpret_cast<const __m128i*>(from);
        return {widen_bf16(_mm_loadu_si128(at)), widen_bf16(_mm_loadu_si128(at + 1))};
    }
    static VecAvx2 load(const std::int8_t* from) {
        const auto* at = reinterpret_cast<const __m128i*>(from);
        return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadu_si128(at))),
                _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(_mm_loadu_si128(at), 8)))};
    }
    // Lanes from `count` on are zero.
    static VecAvx2 load(const float* from, std::size_t count) {
        return {_mm256_maskload_ps(from, below(count, 0)), _mm256_maskload_ps(from + 8, below(count, 8))};
    }
    template <class Element>
    static VecAvx2 load(const Element* from, std::size_t count) {
        if (count == lanes) return load(from);
        Element elements[lanes] = {};
        for (std::size_t i = 0; i < count; ++i) elements[i] = from[i];
        return load(elements);
    }
    void store(float* to) const {
        _mm256_storeu_ps(to, low);
        _mm256_storeu_ps(to + 8, high);
    }
    void store(float* to, std::size_t count) const {
        _mm256_maskstore_ps(to, below(count, 0), low);
        _mm256_maskstore_ps(to + 8, below(count, 8), high);
    }
    void store(Half* to) const {
        auto* at = reinterpret_cast<__m128i*>(to);
        _mm_storeu_si128(at, half(low));
        _mm_storeu_si128(at + 1, half(high));
    }
    void store(Half* to, std::size_t count) const {
        Half halves[lanes];
        store(halves);
        for (std::size_t i = 0; i < count; ++i) to[i] = halves[i];
    }

    VecAvx2 first(std::size_t count) const {
        return {_mm256_and_ps(low, _mm256_castsi256_ps(below(count, 0))),
                _mm256_and_ps(high, _mm256_castsi256_ps(below(count, 8)))};
    }
    VecAvx2 from(std::size_t start) const {
        return {_mm256_andnot_ps(_mm256_castsi256_ps(below(start, 0)), low),
                _mm256_andnot_ps(_mm256_castsi256_ps(below(start, 8)), high)};
    }

    float sum() const {
        const __m256 a = _mm256_add_ps(low, high);
        const __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
        const __m128 c = _mm_add_ps(b, _mm_movehl_ps(b, b));
        return _mm_cvtss_f32(_mm_add_ss(c, _mm_movehdup_ps(c)));
    }
    float max() const {
        const __m256 a = _mm256_max_ps(low, high);
        const __m128 b = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
        const __m128 c = _mm_max_ps(b, _mm_movehl_ps(b, b));
        return _mm_cvtss_f32(_mm_max_ss(c, _mm_movehdup_ps(c)));
    }

    friend VecAvx2 operator+(VecAvx2 a, VecAvx2 b) {
        return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
    }
    friend VecAvx2 operator-(VecAvx2 a, VecAvx2 b) {
        return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
    }
    friend VecAvx2 operator*(VecAvx2 a, VecAvx2 b) {
        return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
    }
    friend VecAvx2 operator/(VecAvx2 a, VecAvx2 b) {
        return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)};
    }
    friend VecAvx2 max(VecAvx2 a, VecAvx2 b) {
        return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
    }
    friend VecAvx2 min(VecAvx2 a, VecAvx2 b) {
        return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)};
    }
    friend VecAvx2 fma(VecAvx2 a, VecAvx2 b, VecAvx2 c) {
        return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
    }
    friend VecAvx2 choose_below(VecAvx2 x, float bound, VecAvx2 below, VecAvx2 other) {
        return {choose(x.low, bound, below.low, other.low), choose(x.high, bound, below.high, other.high)};
    }
    friend VecAvx2 exp(VecAvx2 x) { return {exp_of(x.low), exp_of(x.high)}; }

  private:
    // All bits of the lanes whose number in the vector is below `count`, of the half from lane `start`.
    static __m256i below(std::size_t count, int start) {
        const __m256i lane =
            _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(start));
        return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), lane);
    }
    static __m256 widen_bf16(__m128i bits) {
        return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
    }
    static __m128i half(__m256 v) {
        return _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    }
    static __m256 choose(__m256 x, float bound, __m256 below, __m256 other) {
        const __m256 magnitude = _mm256_andnot_ps(_mm256_set1_ps(-0.0F), x);
        return _mm256_blendv_ps(other, below, _mm256_cmp_ps(magnitude, _mm256_set1_ps(bound), _CMP_NGE_UQ));
    }
    // exp_f32() on each lane.
    static __m256 exp_of(__m256 x) {
        using namespace exp_constants;
        const __m256 rounding = _mm256_set1_ps(rounder);
        const __m256 y = _mm256_min_ps(_mm256_max_ps(x, _mm256_set1_ps(lowest)), _mm256_set1_ps(highest));
        const __m256 shifted = _mm256_add_ps(_mm256_mul_ps(y, _mm256_set1_ps(log2_e)), rounding);
        const __m256 n = _mm256_sub_ps(shifted, rounding);
        const __m256 upper = _mm256_sub_ps(y, _mm256_mul_ps(n, _mm256_set1_ps(ln2_high)));
        const __m256 r = _mm256_sub_ps(upper, _mm256_mul_ps(n, _mm256_set1_ps(ln2_low)));
        __m256 p = _mm256_set1_ps(polynomial[0]);
        for (int i = 1; i < 6; ++i) p = _mm256_add_ps(_mm256_mul_ps(p, r), _mm256_set1_ps(polynomial[i]));
        p = _mm256_add_ps(_mm256_mul_ps(p, _mm256_mul_ps(r, r)), r);
        p = _mm256_add_ps(p, _mm256_set1_ps(1.0F));
        const __m256i power = _mm256_add_epi32(_mm256_slli_epi32(_mm256_castps_si256(shifted), 23),
                                               _mm256_set1_epi32(0x3F800000));
        return _mm256_mul_ps(p, _mm256_castsi256_ps(power));
    }
};

}  // namespace troupe
