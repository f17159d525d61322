// What AVX2 with FMA and F16C can do, for gemm_kernel.hpp. Internal to the files that include it.
#pragma once
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace troupe {
namespace {

struct Avx2 {
    using Ints = __m256i;
    using Floats = __m256;
    static constexpr int lanes = 8;
    // Integers fill the 16 registers; the sums, touched once a block, lie in memory.
    static constexpr std::size_t quantized_rows = 4;
    static constexpr std::size_t float_rows = 6;

    static Ints load(const std::byte* at) { return _mm256_load_si256(reinterpret_cast<const __m256i*>(at)); }
    static Ints broadcast(std::int32_t value) { return _mm256_set1_epi32(value); }
    static Ints broadcast_byte(int value) { return _mm256_set1_epi8(static_cast<char>(value)); }
    static Ints bit_and(Ints a, Ints b) { return _mm256_and_si256(a, b); }
    // Of 16 bits: what crosses a byte is masked off afterwards.
    static Ints shift_right(Ints a, int by) { return _mm256_srli_epi16(a, by); }
    static Ints shift_left(Ints a, int by) { return _mm256_slli_epi16(a, by); }
    static Ints shift_left_words(Ints a, int by) { return _mm256_slli_epi32(a, by); }  // of 32 bits
    static Ints or_masked(Ints a, Ints b, Ints mask) {                                 // a | (b & mask)
        return _mm256_or_si256(a, _mm256_and_si256(b, mask));
    }
    static Ints look_up(const std::uint8_t* table, Ints codes) {
        const __m128i entries = _mm_load_si128(reinterpret_cast<const __m128i*>(table));
        return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(entries), codes);
    }
    // Sums of two products fit 16 bits if weights are below 128; wider ones go as two nibbles.
    template <bool Wide>
    static Ints add_dot(Ints sums, Ints weights, Ints activations) {
        if constexpr (Wide) {
            const Ints low = _mm256_and_si256(weights, _mm256_set1_epi8(15));
            const Ints high = _mm256_and_si256(_mm256_srli_epi16(weights, 4), _mm256_set1_epi8(15));
            sums = add_pairs(sums, _mm256_maddubs_epi16(high, activations), 16);
            return add_pairs(sums, _mm256_maddubs_epi16(low, activations), 1);
        } else {
            return add_pairs(sums, _mm256_maddubs_epi16(weights, activations), 1);
        }
    }
    static Ints load_signed(const std::byte* at) { return _mm256_cvtepi8_epi32(load_8(at)); }
    static Ints load_unsigned(const std::byte* at) { return _mm256_cvtepu8_epi32(load_8(at)); }

    static Floats to_floats(Ints a) { return _mm256_cvtepi32_ps(a); }
    static Floats load_floats(const std::byte* at) {
        return _mm256_load_ps(reinterpret_cast<const float*>(at));
    }
    static Floats load_halves(const std::byte* at) { return _mm256_cvtph_ps(load_16(at)); }
    static Floats load_bfloats(const std::byte* at) {
        return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load_16(at)), 16));
    }
    // The lower or the upper bfloat16 of each pair.
    static Floats bfloats_of(Ints pairs, bool upper) {
        return _mm256_castsi256_ps(upper ? _mm256_and_si256(pairs, _mm256_set1_epi32(-65536))
                                         : _mm256_slli_epi32(pairs, 16));
    }
    static Floats broadcast_float(float value) { return _mm256_set1_ps(value); }
    static Floats multiply(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
    static Floats multiply_add(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
    static Floats subtract_product(Floats a, Floats b, Floats c) { return _mm256_fnmadd_ps(a, b, c); }
    static void store(float* to, Floats a) { _mm256_storeu_ps(to, a); }
    static void store(float* to, Floats a, unsigned count) {
        const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        _mm256_maskstore_ps(to, _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), lane), a);
    }

  private:
    static Ints add_pairs(Ints sums, Ints pairs, std::int16_t times) {
        return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(times)));
    }
    static __m128i load_8(const std::byte* at) {
        return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(at));
    }
    static __m128i load_16(const std::byte* at) {
        return _mm_load_si128(reinterpret_cast<const __m128i*>(at));
    }
};

}  // namespace
}  // namespace troupe
