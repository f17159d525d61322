// Sixteen float lanes in one AVX-512 register. Included only by files compiled for AVX-512F, BW, DQ and VL.
#pragma once
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "model/exp.hpp"
#include "model/float16.hpp"

namespace troupe {

struct VecAvx512 {
    static constexpr std::size_t lanes = 16;
    __m512 v;

    static VecAvx512 broadcast(float x) { return {_mm512_set1_ps(x)}; }
    static VecAvx512 zero() { return {_mm512_setzero_ps()}; }

    static VecAvx512 load(const float* from) { return {_mm512_loadu_ps(from)}; }
    static VecAvx512 load(const Half* from) {
        return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)))};
    }
    static VecAvx512 load(const BFloat16* from) {
        return widen_bf16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
    }
    static VecAvx512 load(const std::int8_t* from) {
        return {_mm512_cvtepi32_ps(
            _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))))};
    }
    static VecAvx512 load(const float* from, std::size_t count) {
        return {_mm512_maskz_loadu_ps(below(count), from)};
    }
    static VecAvx512 load(const Half* from, std::size_t count) {
        return {_mm512_cvtph_ps(_mm256_maskz_loadu_epi16(below(count), from))};
    }
    static VecAvx512 load(const BFloat16* from, std::size_t count) {
        return widen_bf16(_mm256_maskz_loadu_epi16(below(count), from));
    }
    void store(float* to) const { _mm512_storeu_ps(to, v); }
    void store(float* to, std::size_t count) const { _mm512_mask_storeu_ps(to, below(count), v); }
    void store(Half* to) const { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), half()); }
    void store(Half* to, std::size_t count) const { _mm256_mask_storeu_epi16(to, below(count), half()); }

    VecAvx512 first(std::size_t count) const { return {_mm512_maskz_mov_ps(below(count), v)}; }
    VecAvx512 from(std::size_t start) const {
        return {_mm512_maskz_mov_ps(static_cast<__mmask16>(~below(start)), v)};
    }

    float sum() const {
        const __m256 a = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
        const __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
        const __m128 c = _mm_add_ps(b, _mm_movehl_ps(b, b));
        return _mm_cvtss_f32(_mm_add_ss(c, _mm_movehdup_ps(c)));
    }
    float max() const { return _mm512_reduce_max_ps(v); }

    friend VecAvx512 operator+(VecAvx512 a, VecAvx512 b) { return {_mm512_add_ps(a.v, b.v)}; }
    friend VecAvx512 operator-(VecAvx512 a, VecAvx512 b) { return {_mm512_sub_ps(a.v, b.v)}; }
    friend VecAvx512 operator*(VecAvx512 a, VecAvx512 b) { return {_mm512_mul_ps(a.v, b.v)}; }
    friend VecAvx512 operator/(VecAvx512 a, VecAvx512 b) { return {_mm512_div_ps(a.v, b.v)}; }
    friend VecAvx512 max(VecAvx512 a, VecAvx512 b) { return {_mm512_max_ps(a.v, b.v)}; }
    friend VecAvx512 min(VecAvx512 a, VecAvx512 b) { return {_mm512_min_ps(a.v, b.v)}; }
    friend VecAvx512 fma(VecAvx512 a, VecAvx512 b, VecAvx512 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }

    // Lanes of `below` where |x| < bound or x is NaN, else of `other`.
    friend VecAvx512 choose_below(VecAvx512 x, float bound, VecAvx512 below, VecAvx512 other) {
        const __mmask16 mask = _mm512_cmp_ps_mask(_mm512_abs_ps(x.v), _mm512_set1_ps(bound), _CMP_NGE_UQ);
        return {_mm512_mask_mov_ps(other.v, mask, below.v)};
    }

    // exp_f32() on each lane.
    friend VecAvx512 exp(VecAvx512 x) {
        using namespace exp_constants;
        const __m512 rounding = _mm512_set1_ps(rounder);
        const __m512 y = _mm512_min_ps(_mm512_max_ps(x.v, _mm512_set1_ps(lowest)), _mm512_set1_ps(highest));
        const __m512 shifted = _mm512_add_ps(_mm512_mul_ps(y, _mm512_set1_ps(log2_e)), rounding);
        const __m512 n = _mm512_sub_ps(shifted, rounding);
        const __m512 high = _mm512_sub_ps(y, _mm512_mul_ps(n, _mm512_set1_ps(ln2_high)));
        const __m512 r = _mm512_sub_ps(high, _mm512_mul_ps(n, _mm512_set1_ps(ln2_low)));
        __m512 p = _mm512_set1_ps(polynomial[0]);
        for (int i = 1; i < 6; ++i) p = _mm512_add_ps(_mm512_mul_ps(p, r), _mm512_set1_ps(polynomial[i]));
        p = _mm512_add_ps(_mm512_mul_ps(p, _mm512_mul_ps(r, r)), r);
        p = _mm512_add_ps(p, _mm512_set1_ps(1.0F));
        const __m512i power = _mm512_add_epi32(_mm512_slli_epi32(_mm512_castps_si512(shifted), 23),
                                               _mm512_set1_epi32(0x3F800000));
        return {_mm512_mul_ps(p, _mm512_castsi512_ps(power))};
    }

  private:
    static __mmask16 below(std::size_t count) { return static_cast<__mmask16>((1U << count) - 1U); }
    static VecAvx512 widen_bf16(__m256i bits) {
        return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16))};
    }
    __m256i half() const { return _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
};

}  // namespace troupe
