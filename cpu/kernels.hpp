// What an instruction set implements: one table of functions for each KernelPath. Internal to the products.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <utility>

#include "cpu/cpu_features.hpp"
#include "cpu/panel_layout.hpp"

namespace troupe {

// One panel times some consecutive rows of activations, over all of k. Pointers are to the tile's first row.
struct Tile {
    const std::byte* panel;
    std::size_t columns;
    // Quantized weights: the int8 form (Activations).
    const std::int8_t* q;
    std::size_t q_stride;
    const float* scales;  // these: [rows][num_blocks], or twice as many halves
    const std::int32_t* negated_sums;
    const std::int32_t* negated_half_sums;
    const float* scaled_sums;
    std::size_t num_blocks;
    // Float weights: the rows as they are.
    const float* x;
    std::size_t x_stride;

    float* out;
    std::size_t out_stride;
    unsigned out_columns;  // 1 .. 32: how many of the panel's rows exist

    // Weights that will be wanted soon: cache lines to fetch per kPrefetchColumns of k, from prefetch on. 0:
    // none.
    const std::byte* prefetch;
    unsigned prefetch_lines;
};
constexpr std::size_t kPrefetchColumns = 32;

using TileFunction = void (*)(const Tile&);

struct TileFunctions {
    const TileFunction* by_rows;  // [rows - 1]
    unsigned most_rows;
};

// Activations::quantize of one row of num_blocks blocks.
struct QuantizedRow {
    std::int8_t* q;
    float* scales;
    std::int32_t* negated_sums;
    std::int32_t* negated_half_sums;
    float* scaled_sums;
};
// Blocks whose largest value is below this become zeros, so that 127 / max cannot overflow.
constexpr float kSmallestBlockMax = 1e-30F;

// One TileFunctions for each PanelFormat. Of<F>::by_rows is the format's array.
template <template <PanelFormat> class Of, std::size_t... Index>
constexpr std::array<TileFunctions, sizeof...(Index)> tiles_of(std::index_sequence<Index...>) {
    return {TileFunctions{Of<static_cast<PanelFormat>(Index)>::by_rows,
                          std::size(Of<static_cast<PanelFormat>(Index)>::by_rows)}...};
}

struct Kernels {
    std::array<TileFunctions, kNumPanelFormats> tiles;  // by PanelFormat
    void (*quantize_row)(const float* x, std::size_t num_blocks, const QuantizedRow& out);
};

extern const Kernels portable_kernels;     // gemm_portable.cpp
extern const Kernels avx2_kernels;         // gemm_avx2.cpp
extern const Kernels avx2_vnni_kernels;    // gemm_avxvnni.cpp
extern const Kernels avx512_vnni_kernels;  // gemm_avx512.cpp
void portable_quantize_row(const float* x, std::size_t num_blocks, const QuantizedRow& out);

// Precondition: kernel_path_supported(path).
const Kernels& kernels_of(KernelPath path);

}  // namespace troupe
