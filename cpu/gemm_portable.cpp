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

// The integers of one step, offset taken off, as [k][row].
template <PanelFormat F>
void unpack(const std::byte* pairs, std::int16_t (&weights)[kBlockColumns][kPanelRows]) {
    for (std::size_t k = 0; k < kBlockColumns; ++k) {
        for (std::size_t n = 0; n < kPanelRows; ++n) {
            int value;
            if constexpr (F == PanelFormat::q8_0) {
                value = std::to_integer<int>(pairs[k / 4 * 128 + n * 4 + k % 4]) - 128;
            } else {
                const int nibbles = std::to_integer<int>(pairs[k / 8 * 128 + n * 4 + k % 4]);
                value = (k % 8 < 4 ? nibbles & 15 : nibbles >> 4) - (F == PanelFormat::q4_0 ? 8 : 0);
            }
            weights[k][n] = static_cast<std::int16_t>(value);
        }
    }
}

template <PanelFormat F, int Rows>
void quantized_tile(const Tile& tile) {
    float sums[Rows][kPanelRows] = {};
    const std::byte* step = tile.panel;
    for (std::size_t b = 0; b < tile.num_blocks; ++b, step += panel_step(F).bytes) {
        std::int16_t weights[kBlockColumns][kPanelRows];
        unpack<F>(step + scale_bytes(F), weights);
        for (int m = 0; m < Rows; ++m) {
            const std::int8_t* q = tile.q + m * tile.q_stride + b * kBlockColumns;
            std::int32_t dots[kPanelRows] = {};
            for (std::size_t k = 0; k < kBlockColumns; ++k) {
                for (std::size_t n = 0; n < kPanelRows; ++n) dots[n] += weights[k][n] * q[k];
            }
            const std::size_t at = m * tile.num_blocks + b;
            for (std::size_t n = 0; n < kPanelRows; ++n) {
                const float scale = to_float(read<Half>(step + 2 * n)) * tile.scales[at];
                sums[m][n] = std::fma(static_cast<float>(dots[n]), scale, sums[m][n]);
                if constexpr (has_minimums(F)) {
                    sums[m][n] =
                        std::fma(to_float(read<Half>(step + 64 + 2 * n)), tile.scaled_sums[at], sums[m][n]);
                }
            }
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

void quantize_block(const float* x, std::int8_t* q, float& scale, std::int32_t& sum) {
    std::uint32_t top = 0;  // as integers, magnitudes order like floats, infinity and NaN above all numbers
    for (std::size_t i = 0; i < kBlockColumns; ++i) {
        const std::uint32_t magnitude = std::bit_cast<std::uint32_t>(x[i]) & 0x7fffffffU;
        top = top > magnitude ? top : magnitude;
    }
    const float max = std::bit_cast<float>(top);
    sum = 0;
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
        sum += value;
    }
}

void quantize_row(const float* x, std::size_t num_blocks, const QuantizedRow& out) {
    for (std::size_t b = 0; b < num_blocks; ++b) {
        std::int32_t sum;
        quantize_block(x + b * kBlockColumns, out.q + b * kBlockColumns, out.scales[b], sum);
        out.negated_sums[b] = -sum;
        out.scaled_sums[b] = out.scales[b] * static_cast<float>(sum);
    }
}

constexpr int kMostRows = 4;
template <PanelFormat F>
constexpr TileFunction quantized_tiles[kMostRows] = {quantized_tile<F, 1>, quantized_tile<F, 2>,
                                                     quantized_tile<F, 3>, quantized_tile<F, 4>};
template <PanelFormat F>
constexpr TileFunction float_tiles[kMostRows] = {float_tile<F, 1>, float_tile<F, 2>, float_tile<F, 3>,
                                                 float_tile<F, 4>};

}  // namespace

constinit const Kernels portable_kernels = {
    .tiles = {{{quantized_tiles<PanelFormat::q8_0>, kMostRows},
               {quantized_tiles<PanelFormat::q4_0>, kMostRows},
               {quantized_tiles<PanelFormat::q4_1>, kMostRows},
               {float_tiles<PanelFormat::f32>, kMostRows},
               {float_tiles<PanelFormat::f16>, kMostRows},
               {float_tiles<PanelFormat::bf16>, kMostRows}}},
    .quantize_row = quantize_row,
};

}  // namespace troupe
