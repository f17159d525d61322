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

// `Bits` bits of number `number` of a block (panel_layout.hpp), at bit `To` of each byte.
template <int Bits, int To>
[[gnu::always_inline]] inline __m512i load_bits(const std::byte* pairs, int number, int half) {
    constexpr int per_pair = 8 / Bits;
    const __m512i bytes = _mm512_load_si512(pairs + number / per_pair * 128 + half * 64);
    if constexpr (Bits == 8) return bytes;
    const int shift = Bits * (number % per_pair) - To;
    const __m512i moved = shift > 0   ? _mm512_srli_epi16(bytes, static_cast<unsigned>(shift))
                          : shift < 0 ? _mm512_slli_epi16(bytes, static_cast<unsigned>(-shift))
                                      : bytes;
    return _mm512_and_si512(moved, _mm512_set1_epi8(static_cast<char>(((1 << Bits) - 1) << To)));
}

// Four consecutive k (number 0 .. 7 of the block) of 32 rows, as unsigned bytes.
template <PanelFormat F>
[[gnu::always_inline]] inline void load_weights(const std::byte* pairs, int number, __m512i (&weights)[2]) {
    for (int half = 0; half < 2; ++half) {
        weights[half] = load_bits<low_bits(F), 0>(pairs, number, half);
        if constexpr (high_bits(F) != 0) {
            weights[half] = _mm512_or_si512(
                weights[half], load_bits<high_bits(F), low_bits(F)>(pairs + 128 * low_bits(F), number, half));
        }
        if constexpr (has_table(F)) {
            alignas(16) static constexpr CodeTable table = unsigned_table(F);
            const __m128i entries = _mm_load_si128(reinterpret_cast<const __m128i*>(table.entries));
            weights[half] = _mm512_shuffle_epi8(_mm512_broadcast_i32x4(entries), weights[half]);
        }
    }
}

// Products of a half and a small integer, or halves alone: exact.
template <PanelFormat F>
__m512 load_scales(const std::byte* header, const std::byte* block, int part, int half) {
    if constexpr (F == PanelFormat::mxfp4) {
        const __m256i bits = _mm256_load_si256(reinterpret_cast<const __m256i*>(block + 32 * half));
        return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
    } else if constexpr (!has_header(F)) {
        return load_halves(block + 32 * half);
    } else {
        const __m128i bytes = _mm_load_si128(reinterpret_cast<const __m128i*>(block + 32 * part + 16 * half));
        __m512i integers;
        if constexpr (scales_per_block(F) == 2 && F != PanelFormat::q2_k) {
            integers = _mm512_cvtepi8_epi32(bytes);
        } else {
            integers = _mm512_cvtepu8_epi32(bytes);
        }
        if constexpr (F == PanelFormat::q2_k) integers = _mm512_and_si512(integers, _mm512_set1_epi32(15));
        return _mm512_mul_ps(load_halves(header + 32 * half), _mm512_cvtepi32_ps(integers));
    }
}

// With a header the minimum is to be subtracted.
template <PanelFormat F>
__m512 load_minimums(const std::byte* header, const std::byte* block, int part, int half) {
    if constexpr (!has_header(F)) {
        return load_halves(block + 64 + 32 * half);
    } else {
        constexpr bool packed = F == PanelFormat::q2_k;
        const std::byte* at = block + 16 * half + (packed ? 32 * part : 32);
        __m512i integers = _mm512_cvtepu8_epi32(_mm_load_si128(reinterpret_cast<const __m128i*>(at)));
        if constexpr (packed) integers = _mm512_srli_epi32(integers, 4);
        return _mm512_mul_ps(load_halves(header + 64 + 32 * half), _mm512_cvtepi32_ps(integers));
    }
}

// sum((w + offset) * q) - offset * sum(q) = sum(w * q), exactly: starts at the second term.
template <PanelFormat F, int Part, int Rows>
[[gnu::always_inline]] inline void dot(const Tile& tile, const std::byte* pairs, const std::int8_t* q,
                                       std::size_t b, __m512i (&dots)[2][Rows]) {
    for (int m = 0; m < Rows; ++m) {
        const std::size_t at = m * tile.num_blocks + b;
        dots[0][m] = _mm512_setzero_si512();
        if constexpr (offset_bits(F) != 0) {
            const std::int32_t sum =
                scales_per_block(F) == 2 ? tile.negated_half_sums[2 * at + Part] : tile.negated_sums[at];
            dots[0][m] = _mm512_slli_epi32(_mm512_set1_epi32(sum), offset_bits(F));
        }
        dots[1][m] = dots[0][m];
    }
    constexpr int numbers = 8 / scales_per_block(F);
#pragma GCC unroll 8
    for (int number = Part * numbers; number < (Part + 1) * numbers; ++number) {
        __m512i weights[2];
        load_weights<F>(pairs, number, weights);
        for (int m = 0; m < Rows; ++m) {
            std::int32_t four;
            std::memcpy(&four, q + m * tile.q_stride + 4 * number, sizeof four);
            const __m512i activations = _mm512_set1_epi32(four);
            dots[0][m] = _mm512_dpbusd_epi32(dots[0][m], weights[0], activations);
            dots[1][m] = _mm512_dpbusd_epi32(dots[1][m], weights[1], activations);
        }
    }
}

// What the k under scale number Part of block b add to the sums.
template <PanelFormat F, int Part, int Rows>
[[gnu::always_inline]] inline void add_part(const Tile& tile, const std::byte* header, const std::byte* block,
                                            const std::int8_t* q, std::size_t b, __m512 (&sums)[2][Rows]) {
    __m512i dots[2][Rows];
    dot<F, Part, Rows>(tile, block + scale_bytes(F), q, b, dots);
    for (int half = 0; half < 2; ++half) {
        const __m512 scale = load_scales<F>(header, block, Part, half);
        [[maybe_unused]] __m512 minimum;
        if constexpr (has_minimums(F)) minimum = load_minimums<F>(header, block, Part, half);
        for (int m = 0; m < Rows; ++m) {
            const std::size_t at = m * tile.num_blocks + b;
            sums[half][m] =
                _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[half][m]),
                                _mm512_mul_ps(scale, _mm512_set1_ps(tile.scales[at])), sums[half][m]);
            if constexpr (has_minimums(F)) {
                float sum = tile.scaled_sums[at];
                if constexpr (scales_per_block(F) == 2)
                    sum = tile.scales[at] * static_cast<float>(-tile.negated_half_sums[2 * at + Part]);
                sums[half][m] = has_header(F) ? _mm512_fnmadd_ps(minimum, _mm512_set1_ps(sum), sums[half][m])
                                              : _mm512_fmadd_ps(minimum, _mm512_set1_ps(sum), sums[half][m]);
            }
        }
    }
}

// Per block and accumulator: 8 vpdpbusd, and for each scale 1 multiplication, 1 or 2 fma compete for the same
// ports; all else is beside.
template <PanelFormat F, int Rows>
void quantized_tile(const Tile& tile) {
    __m512 sums[2][Rows];
    for (int m = 0; m < Rows; ++m) sums[0][m] = sums[1][m] = _mm512_setzero_ps();
    prefetch_outputs<Rows>(tile);
    const std::byte *header = tile.panel, *block = tile.panel, *next = tile.prefetch;
    const std::int8_t* q = tile.q;
    for (std::size_t b = 0; b < tile.num_blocks; ++b, q += kBlockColumns, block += block_bytes(F)) {
        next = prefetch(next, tile.prefetch_lines);
        if (has_header(F) && b % kBlocksPerHeader == 0) {
            header = block;
            block += header_bytes(F);
        }
        add_part<F, 0, Rows>(tile, header, block, q, b, sums);
        if constexpr (scales_per_block(F) == 2) add_part<F, 1, Rows>(tile, header, block, q, b, sums);
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

// 2 accumulators per row and 2 registers of weights: 6 rows of integers and floats, or 12 of floats, fill the
// 32 registers.
template <PanelFormat F>
struct Tiles {
    static constexpr TileFunction by_rows[] = {quantized_tile<F, 1>, quantized_tile<F, 2>,
                                               quantized_tile<F, 3>, quantized_tile<F, 4>,
                                               quantized_tile<F, 5>, quantized_tile<F, 6>};
};
template <PanelFormat F>
requires(!is_quantized(F)) struct Tiles<F> {
    static constexpr TileFunction by_rows[] = {float_tile<F, 1>,  float_tile<F, 2>,  float_tile<F, 3>,
                                               float_tile<F, 4>,  float_tile<F, 5>,  float_tile<F, 6>,
                                               float_tile<F, 7>,  float_tile<F, 8>,  float_tile<F, 9>,
                                               float_tile<F, 10>, float_tile<F, 11>, float_tile<F, 12>};
};

}  // namespace

constinit const Kernels avx512_vnni_kernels = {
    .tiles = tiles_of<Tiles>(std::make_index_sequence<kNumPanelFormats>()),
    .quantize_row = quantize_row,
};

}  // namespace troupe
#endif
