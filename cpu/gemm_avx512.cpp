// The kernels for AVX-512 with VNNI. Compiled with flags of its own (kernels.cmake), called only where they
// run.
#if defined(__x86_64__)
#include <immintrin.h>

#include <cstring>

#include "cpu/gemm_kernel.hpp"

namespace troupe {
namespace {

struct Avx512 {
    using Ints = __m512i;
    using Floats = __m512;
    static constexpr int lanes = 16;
    // 2 accumulators per row and 2 registers of weights: 6 rows of integers and floats, or 12 of floats, fill
    // the 32 registers.
    static constexpr std::size_t quantized_rows = 6;
    static constexpr std::size_t float_rows = 12;

    static Ints load(const std::byte* at) { return _mm512_load_si512(at); }
    static Ints broadcast(std::int32_t value) { return _mm512_set1_epi32(value); }
    static Ints broadcast_byte(int value) { return _mm512_set1_epi8(static_cast<char>(value)); }
    static Ints bit_and(Ints a, Ints b) { return _mm512_and_si512(a, b); }
    // Of 16 bits: what crosses a byte is masked off afterwards.
    static Ints shift_right(Ints a, int by) { return _mm512_srli_epi16(a, static_cast<unsigned>(by)); }
    static Ints shift_left(Ints a, int by) { return _mm512_slli_epi16(a, static_cast<unsigned>(by)); }
    static Ints shift_left_words(Ints a, int by) {
        return _mm512_slli_epi32(a, static_cast<unsigned>(by));
    }                                                   // of 32 bits
    static Ints or_masked(Ints a, Ints b, Ints mask) {  // a | (b & mask)
        return _mm512_ternarylogic_epi32(a, b, mask, 0xf8);
    }
    static Ints look_up(const std::uint8_t* table, Ints codes) {
        const __m128i entries = _mm_load_si128(reinterpret_cast<const __m128i*>(table));
        return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(entries), codes);
    }
    template <bool Wide>
    static Ints add_dot(Ints sums, Ints weights, Ints activations) {
        return _mm512_dpbusd_epi32(sums, weights, activations);
    }
    static Ints load_signed(const std::byte* at) { return _mm512_cvtepi8_epi32(load_16(at)); }
    static Ints load_unsigned(const std::byte* at) { return _mm512_cvtepu8_epi32(load_16(at)); }

    static Floats to_floats(Ints a) { return _mm512_cvtepi32_ps(a); }
    static Floats load_floats(const std::byte* at) { return _mm512_load_ps(at); }
    static Floats load_halves(const std::byte* at) { return _mm512_cvtph_ps(load_32(at)); }
    static Floats load_bfloats(const std::byte* at) {
        return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(load_32(at)), 16));
    }
    // The lower or the upper bfloat16 of each pair.
    static Floats bfloats_of(Ints pairs, bool upper) {
        return _mm512_castsi512_ps(upper ? _mm512_and_si512(pairs, _mm512_set1_epi32(-65536))
                                         : _mm512_slli_epi32(pairs, 16));
    }
    static Floats broadcast_float(float value) { return _mm512_set1_ps(value); }
    static Floats multiply(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
    static Floats multiply_add(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
    static Floats subtract_product(Floats a, Floats b, Floats c) { return _mm512_fnmadd_ps(a, b, c); }
    static void store(float* to, Floats a) { _mm512_storeu_ps(to, a); }
    static void store(float* to, Floats a, unsigned count) {
        _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1U << count) - 1), a);
    }

  private:
    static __m128i load_16(const std::byte* at) {
        return _mm_load_si128(reinterpret_cast<const __m128i*>(at));
    }
    static __m256i load_32(const std::byte* at) {
        return _mm256_load_si256(reinterpret_cast<const __m256i*>(at));
    }
};

void quantize_row(const float* x, std::size_t num_blocks, const QuantizedRow& out) {
    const __m512i magnitude_bits = _mm512_set1_epi32(0x7fffffff);
    for (std::size_t b = 0; b < num_blocks; ++b) {
        const __m512 low = _mm512_loadu_ps(x + b * kBlockColumns),
                     high = _mm512_loadu_ps(x + b * kBlockColumns + 16);
        // As integers, magnitudes order like floats, infinity and NaN above all numbers.
        const __m512i low_bits = _mm512_and_si512(_mm512_castps_si512(low), magnitude_bits);
        const __m512i high_bits = _mm512_and_si512(_mm512_castps_si512(high), magnitude_bits);
        const int top = _mm512_reduce_max_epi32(_mm512_max_epi32(low_bits, high_bits));
        float max;
        std::memcpy(&max, &top, sizeof max);
        const bool finite = top < 0x7f800000, used = finite && max >= kSmallestBlockMax;
        const __mmask16 mask = used ? 0xffff : 0;
        const __m512 inverse = _mm512_set1_ps(used ? 127.0F / max : 0.0F);
        const __m512i q_low = _mm512_maskz_cvtps_epi32(mask, _mm512_mul_ps(low, inverse));
        const __m512i q_high = _mm512_maskz_cvtps_epi32(mask, _mm512_mul_ps(high, inverse));
        const __m256i q = _mm256_set_m128i(_mm512_cvtepi32_epi8(q_high), _mm512_cvtepi32_epi8(q_low));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out.q + b * kBlockColumns), q);
        // Sums of 8 bytes each, as unsigned ones: 16 make 2048 too much.
        const __m256i eights =
            _mm256_sad_epu8(_mm256_xor_si256(q, _mm256_set1_epi8(-128)), _mm256_setzero_si256());
        const __m256i halves = _mm256_add_epi32(eights, _mm256_shuffle_epi32(eights, 0x4e));
        const int low_sum = _mm256_cvtsi256_si32(halves) - 2048;
        const int high_sum = _mm256_extract_epi32(halves, 4) - 2048;
        const int sum = low_sum + high_sum;
        const float scale = used ? max / 127.0F : finite ? 0.0F : __builtin_nanf("");
        out.scales[b] = scale;
        out.negated_sums[b] = -sum;
        out.negated_half_sums[2 * b] = -low_sum;
        out.negated_half_sums[2 * b + 1] = -high_sum;
        out.scaled_sums[b] = scale * static_cast<float>(sum);
    }
}

}  // namespace

constinit const Kernels avx512_vnni_kernels = {.tiles = GemmKernel<Avx512>::tiles(),
                                               .quantize_row = quantize_row};

}  // namespace troupe
#endif
