// The kernels for AVX-512 with VNNI. Compiled with flags of its own (kernels.cmake), called only where they
// run.
#if defined(__x86_64__)
#include <immintrin.h>

#include <cstring>

#include "cpu/kernels.hpp"

namespace troupe {
namespace {

// Lanes are output rows: [0] rows 0-15 of the panel, [1] rows 16-31.
template <int Rows>
void store(const Tile& tile, const __m512 (&sums)[2][Rows]) {
    if (tile.out_columns == kPanelRows) {
        for (int m = 0; m < Rows; ++m) {
            _mm512_storeu_ps(tile.out + m * tile.out_stride, sums[0][m]);
            _mm512_storeu_ps(tile.out + m * tile.out_stride + 16, sums[1][m]);
        }
        return;
    }
    const std::uint32_t exist = (1U << tile.out_columns) - 1;
    for (int m = 0; m < Rows; ++m) {
        _mm512_mask_storeu_ps(tile.out + m * tile.out_stride, static_cast<__mmask16>(exist), sums[0][m]);
        _mm512_mask_storeu_ps(tile.out + m * tile.out_stride + 16, static_cast<__mmask16>(exist >> 16),
                              sums[1][m]);
    }
}

__m512 load_halves(const std::byte* at) {
    return _mm512_cvtph_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(at)));
}

// Asks for the lines that store() will write, so that they are there when the sums are.
template <int Rows>
void prefetch_outputs(const Tile& tile) {
    for (int m = 0; m < Rows; ++m) {
        _mm_prefetch(tile.out + m * tile.out_stride, _MM_HINT_T0);
        _mm_prefetch(tile.out + m * tile.out_stride + tile.out_columns - 1, _MM_HINT_T0);
    }
}

const std::byte* prefetch(const std::byte* next, unsigned lines) {
    for (unsigned i = 0; i < lines; ++i, next += 64) _mm_prefetch(next, _MM_HINT_T1);
    return next;
}

// Four consecutive k (number 0 .. 7 of the block) of 32 rows, as unsigned bytes.
template <PanelFormat F>
void load_weights(const std::byte* pairs, int number, __m512i (&weights)[2]) {
    if constexpr (F == PanelFormat::q8_0) {
        weights[0] = _mm512_load_si512(pairs + number * 128);
        weights[1] = _mm512_load_si512(pairs + number * 128 + 64);
    } else {
        for (int half = 0; half < 2; ++half) {
            __m512i nibbles = _mm512_load_si512(pairs + number / 2 * 128 + half * 64);
            if (number % 2 == 1) nibbles = _mm512_srli_epi16(nibbles, 4);
            weights[half] = _mm512_and_si512(nibbles, _mm512_set1_epi8(15));
        }
    }
}

// Per block and accumulator: 8 vpdpbusd, 1 multiplication, 1 or 2 fma compete for the same ports; all else is
// beside.
template <PanelFormat F, int Rows>
void quantized_tile(const Tile& tile) {
    __m512 sums[2][Rows];
    for (int m = 0; m < Rows; ++m) sums[0][m] = sums[1][m] = _mm512_setzero_ps();
    prefetch_outputs<Rows>(tile);
    const std::byte *step = tile.panel, *next = tile.prefetch;
    const std::int8_t* q = tile.q;
    for (std::size_t b = 0; b < tile.num_blocks; ++b, q += kBlockColumns, step += panel_step(F).bytes) {
        next = prefetch(next, tile.prefetch_lines);
        // sum((w + offset) * q) - offset * sum(q) = sum(w * q), exactly: start at the second term.
        __m512i dots[2][Rows];
        for (int m = 0; m < Rows; ++m) {
            dots[0][m] = _mm512_setzero_si512();
            if constexpr (offset_bits(F) != 0) {
                dots[0][m] = _mm512_slli_epi32(_mm512_set1_epi32(tile.negated_sums[m * tile.num_blocks + b]),
                                               offset_bits(F));
            }
            dots[1][m] = dots[0][m];
        }
#pragma GCC unroll 8
        for (int number = 0; number < 8; ++number) {
            __m512i weights[2];
            load_weights<F>(step + scale_bytes(F), number, weights);
            for (int m = 0; m < Rows; ++m) {
                std::int32_t four;
                std::memcpy(&four, q + m * tile.q_stride + 4 * number, sizeof four);
                const __m512i activations = _mm512_set1_epi32(four);
                dots[0][m] = _mm512_dpbusd_epi32(dots[0][m], weights[0], activations);
                dots[1][m] = _mm512_dpbusd_epi32(dots[1][m], weights[1], activations);
            }
        }
        for (int half = 0; half < 2; ++half) {
            const __m512 scale = load_halves(step + 32 * half);
            for (int m = 0; m < Rows; ++m) {
                const std::size_t at = m * tile.num_blocks + b;
                sums[half][m] =
                    _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[half][m]),
                                    _mm512_mul_ps(scale, _mm512_set1_ps(tile.scales[at])), sums[half][m]);
                if constexpr (has_minimums(F)) {
                    sums[half][m] = _mm512_fmadd_ps(load_halves(step + 64 + 32 * half),
                                                    _mm512_set1_ps(tile.scaled_sums[at]), sums[half][m]);
                }
            }
        }
    }
    store(tile, sums);
}

// Column k of 32 rows, widened. `odd` is k % 2, known when the compiler cannot see it in k.
template <PanelFormat F>
void load_column(const std::byte* panel, std::size_t k, [[maybe_unused]] bool odd, __m512 (&weights)[2]) {
    for (int half = 0; half < 2; ++half) {
        if constexpr (F == PanelFormat::f32) {
            weights[half] = _mm512_load_ps(panel + 128 * k + 64 * half);
        } else if constexpr (F == PanelFormat::f16) {
            weights[half] = load_halves(panel + 64 * k + 32 * half);
        } else {
            const __m512i two = _mm512_load_si512(panel + 128 * (k / 2) + 64 * half);
            weights[half] = _mm512_castsi512_ps(
                k % 2 == 0 ? _mm512_slli_epi32(two, 16) : _mm512_and_si512(two, _mm512_set1_epi32(-65536)));
        }
    }
}

template <PanelFormat F, int Rows>
void add_column(const Tile& tile, std::size_t k, bool odd, __m512 (&sums)[2][Rows]) {
    __m512 weights[2];
    load_column<F>(tile.panel, k, odd, weights);
    for (int m = 0; m < Rows; ++m) {
        const __m512 x = _mm512_set1_ps(tile.x[m * tile.x_stride + k]);
        sums[0][m] = _mm512_fmadd_ps(weights[0], x, sums[0][m]);
        sums[1][m] = _mm512_fmadd_ps(weights[1], x, sums[1][m]);
    }
}

template <PanelFormat F, int Rows>
void float_tile(const Tile& tile) {
    __m512 sums[2][Rows];
    for (int m = 0; m < Rows; ++m) sums[0][m] = sums[1][m] = _mm512_setzero_ps();
    prefetch_outputs<Rows>(tile);
    const std::byte* next = tile.prefetch;
    std::size_t k = 0;
    for (; k + kPrefetchColumns <= tile.columns; k += kPrefetchColumns) {
        next = prefetch(next, tile.prefetch_lines);
#pragma GCC unroll 4
        for (std::size_t i = 0; i < kPrefetchColumns; i += 2) {  // two at a time: bfloat16 comes in pairs
            add_column<F, Rows>(tile, k + i, false, sums);
            add_column<F, Rows>(tile, k + i + 1, true, sums);
        }
    }
    for (; k < tile.columns; ++k) add_column<F, Rows>(tile, k, k % 2 == 1, sums);
    store(tile, sums);
}

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
        auto* q = reinterpret_cast<__m128i*>(out.q + b * kBlockColumns);
        _mm_storeu_si128(q, _mm512_cvtepi32_epi8(q_low));
        _mm_storeu_si128(q + 1, _mm512_cvtepi32_epi8(q_high));
        const int sum = _mm512_reduce_add_epi32(_mm512_add_epi32(q_low, q_high));
        const float scale = used ? max / 127.0F : finite ? 0.0F : __builtin_nanf("");
        out.scales[b] = scale;
        out.negated_sums[b] = -sum;
        out.scaled_sums[b] = scale * static_cast<float>(sum);
    }
}

// 2 accumulators per row and 2 registers of weights: 6 rows of integers and floats, or 12 of floats, fill the
// 32 registers.
template <PanelFormat F>
constexpr TileFunction quantized_tiles[] = {quantized_tile<F, 1>, quantized_tile<F, 2>, quantized_tile<F, 3>,
                                            quantized_tile<F, 4>, quantized_tile<F, 5>, quantized_tile<F, 6>};
template <PanelFormat F>
constexpr TileFunction float_tiles[] = {float_tile<F, 1>,  float_tile<F, 2>,  float_tile<F, 3>,
                                        float_tile<F, 4>,  float_tile<F, 5>,  float_tile<F, 6>,
                                        float_tile<F, 7>,  float_tile<F, 8>,  float_tile<F, 9>,
                                        float_tile<F, 10>, float_tile<F, 11>, float_tile<F, 12>};

}  // namespace

constinit const Kernels avx512_vnni_kernels = {
    .tiles = {{{quantized_tiles<PanelFormat::q8_0>, 6},
               {quantized_tiles<PanelFormat::q4_0>, 6},
               {quantized_tiles<PanelFormat::q4_1>, 6},
               {float_tiles<PanelFormat::f32>, 12},
               {float_tiles<PanelFormat::f16>, 12},
               {float_tiles<PanelFormat::bf16>, 12}}},
    .quantize_row = quantize_row,
};

}  // namespace troupe
#endif
