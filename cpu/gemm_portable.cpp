// The kernels in plain C++, and what the others must equal bit for bit. fma is exact whether it is an
// instruction or a call of the C library; nothing else here rounds.
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "cpu/kernels.hpp"
#include "model/float16.hpp"

namespace troupe {
namespace {

template <class T>
T read(const std::byte* at) {
    T value;
    std::memcpy(&value, at, sizeof value);
    return value;
}

template <int Rows>
void store(const Tile& tile, const float (&sums)[Rows][kPanelRows]) {
    for (int m = 0; m < Rows; ++m)
        std::memcpy(tile.out + m * tile.out_stride, sums[m], tile.out_columns * sizeof(float));
}

// `Bits` bits of row n's byte k of a block, as panel_layout.hpp lays them.
template <int Bits>
int bits_at(const std::byte* pairs, std::size_t k, std::size_t n) {
    constexpr std::size_t per_pair = 8 / Bits;
    const std::size_t number = k / 4;
    const int byte = std::to_integer<int>(pairs[number / per_pair * 128 + n * 4 + k % 4]);
    return byte >> (Bits * (number % per_pair)) & ((1 << Bits) - 1);
}

// The integers of one block, offset taken off, as [k][row].
template <PanelFormat F>
void unpack(const std::byte* pairs, std::int16_t (&weights)[kBlockColumns][kPanelRows]) {
    [[maybe_unused]] static constexpr CodeTable table = unsigned_table(F);
    for (std::size_t k = 0; k < kBlockColumns; ++k) {
        for (std::size_t n = 0; n < kPanelRows; ++n) {
            int value = bits_at<low_bits(F)>(pairs + 128 * high_bits(F), k, n);
            if constexpr (high_bits(F) != 0) value |= bits_at<high_bits(F)>(pairs, k, n) << low_bits(F);
            if constexpr (has_table(F)) value = table.entries[value];
            if constexpr (offset_bits(F) != 0) value -= 1 << offset_bits(F);
            weights[k][n] = static_cast<std::int16_t>(value);
        }
    }
}

// The scale of row n's run of k number `part`, and its minimum. Products of a half and a small integer:
// exact.
template <PanelFormat F>
float scale_of(const std::byte* header, const std::byte* block, std::size_t part, std::size_t n) {
    if constexpr (F == PanelFormat::mxfp4) return to_float(read<BFloat16>(block + 2 * n));
    if constexpr (!has_header(F)) return to_float(read<Half>(block + 2 * n));
    const std::byte factor = block[32 * part + n];
    const int integer = F == PanelFormat::q2_k     ? std::to_integer<int>(factor) & 15
                        : scales_per_block(F) == 2 ? static_cast<std::int8_t>(factor)
                                                   : std::to_integer<int>(factor);
    return to_float(read<Half>(header + 2 * n)) * static_cast<float>(integer);
}
template <PanelFormat F>
float minimum_of(const std::byte* header, const std::byte* block, std::size_t part, std::size_t n) {
    if constexpr (!has_header(F)) return to_float(read<Half>(block + 64 + 2 * n));
    const int integer = F == PanelFormat::q2_k ? std::to_integer<int>(block[32 * part + n]) >> 4
                                               : std::to_integer<int>(block[32 + n]);
    return -(to_float(read<Half>(header + 64 + 2 * n)) * static_cast<float>(integer));
}

// Adds what k of run `part` of block b contribute to row m: the chain that every path repeats.
template <PanelFormat F>
void add_part(const Tile& tile, std::size_t b, std::size_t part, std::size_t m,
              const std::int16_t (&weights)[kBlockColumns][kPanelRows], const float (&scales)[kPanelRows],
              const float (&minimums)[kPanelRows], float (&sums)[kPanelRows]) {
    constexpr std::size_t run = kBlockColumns / scales_per_block(F);
    const std::int8_t* q = tile.q + m * tile.q_stride + b * kBlockColumns;
    std::int32_t dots[kPanelRows] = {};
    for (std::size_t k = run * part; k < run * (part + 1); ++k) {
        for (std::size_t n = 0; n < kPanelRows; ++n) dots[n] += weights[k][n] * q[k];
    }
    const std::size_t at = m * tile.num_blocks + b;
    float sum = tile.scaled_sums[at];
    if constexpr (scales_per_block(F) == 2)
        sum = tile.scales[at] * static_cast<float>(-tile.negated_half_sums[2 * at + part]);
    for (std::size_t n = 0; n < kPanelRows; ++n) {
        sums[n] = std::fma(static_cast<float>(dots[n]), scales[n] * tile.scales[at], sums[n]);
        if constexpr (has_minimums(F)) sums[n] = std::fma(minimums[n], sum, sums[n]);
    }
}

template <PanelFormat F, int Rows>
void quantized_tile(const Tile& tile) {
    float sums[Rows][kPanelRows] = {};
    const std::byte *header = tile.panel, *block = tile.panel;
    for (std::size_t b = 0; b < tile.num_blocks; ++b, block += block_bytes(F)) {
        if (has_header(F) && b % kBlocksPerHeader == 0) {
            header = block;
            block += header_bytes(F);
        }
        std::int16_t weights[kBlockColumns][kPanelRows];
        unpack<F>(block + scale_bytes(F), weights);
        for (std::size_t part = 0; part < scales_per_block(F); ++part) {
            float scales[kPanelRows], minimums[kPanelRows];
            for (std::size_t n = 0; n < kPanelRows; ++n) {
                scales[n] = scale_of<F>(header, block, part, n);
                if constexpr (has_minimums(F)) minimums[n] = minimum_of<F>(header, block, part, n);
            }
            for (std::size_t m = 0; m < Rows; ++m)
                add_part<F>(tile, b, part, m, weights, scales, minimums, sums[m]);
        }
    }
    store(tile, sums);
}

template <PanelFormat F>
float weight(const std::byte* panel, std::size_t k, std::size_t n) {
    if constexpr (F == PanelFormat::f32) return read<float>(panel + 128 * k + 4 * n);
    if constexpr (F == PanelFormat::f16) return to_float(read<Half>(panel + 64 * k + 2 * n));
    if constexpr (F == PanelFormat::bf16)
        return to_float(read<BFloat16>(panel + 128 * (k / 2) + 4 * n + 2 * (k % 2)));
}

template <PanelFormat F, int Rows>
void float_tile(const Tile& tile) {
    float sums[Rows][kPanelRows] = {};
    for (std::size_t k = 0; k < tile.columns; ++k) {
        float weights[kPanelRows];
        for (std::size_t n = 0; n < kPanelRows; ++n) weights[n] = weight<F>(tile.panel, k, n);
        for (int m = 0; m < Rows; ++m) {
            const float x = tile.x[m * tile.x_stride + k];
            for (std::size_t n = 0; n < kPanelRows; ++n) sums[m][n] = std::fma(weights[n], x, sums[m][n]);
        }
    }
    store(tile, sums);
}

void quantize_block(const float* x, std::int8_t* q, float& scale, std::int32_t (&sums)[2]) {
    std::uint32_t top = 0;  // as integers, magnitudes order like floats, infinity and NaN above all numbers
    for (std::size_t i = 0; i < kBlockColumns; ++i) {
        const std::uint32_t magnitude = std::bit_cast<std::uint32_t>(x[i]) & 0x7fffffffU;
        top = top > magnitude ? top : magnitude;
    }
    const float max = std::bit_cast<float>(top);
    sums[0] = sums[1] = 0;
    if (!(max >= kSmallestBlockMax) || top >= 0x7f800000U) {
        std::memset(q, 0, kBlockColumns);
        scale = top >= 0x7f800000U ? std::numeric_limits<float>::quiet_NaN() : 0.0F;
        return;
    }
    scale = max / 127.0F;
    const float inverse = 127.0F / max;
    for (std::size_t i = 0; i < kBlockColumns; ++i) {
        constexpr float to_integer =
            12582912.0F;  // 1.5 * 2^23: the sum's last bit is worth 1, so it is rounded there
        const float rounded = (x[i] * inverse + to_integer) - to_integer;
        const auto value = static_cast<std::int32_t>(rounded);
        q[i] = static_cast<std::int8_t>(value);
        sums[i / 16] += value;
    }
}

template <PanelFormat F, int Rows>
void any_tile(const Tile& tile) {
    if constexpr (is_quantized(F)) {
        quantized_tile<F, Rows>(tile);
    } else {
        float_tile<F, Rows>(tile);
    }
}

template <PanelFormat F>
struct Tiles {
    static constexpr TileFunction by_rows[] = {any_tile<F, 1>, any_tile<F, 2>, any_tile<F, 3>,
                                               any_tile<F, 4>};
};

}  // namespace

void portable_quantize_row(const float* x, std::size_t num_blocks, const QuantizedRow& out) {
    for (std::size_t b = 0; b < num_blocks; ++b) {
        std::int32_t sums[2];
        quantize_block(x + b * kBlockColumns, out.q + b * kBlockColumns, out.scales[b], sums);
        const std::int32_t sum = sums[0] + sums[1];
        out.negated_sums[b] = -sum;
        out.negated_half_sums[2 * b] = -sums[0];
        out.negated_half_sums[2 * b + 1] = -sums[1];
        out.scaled_sums[b] = out.scales[b] * static_cast<float>(sum);
    }
}

constinit const Kernels portable_kernels = {
    .tiles = tiles_of<Tiles>(std::make_index_sequence<kNumPanelFormats>()),
    .quantize_row = portable_quantize_row,
};

}  // namespace troupe
