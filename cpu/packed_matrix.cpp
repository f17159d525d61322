#include "cpu/packed_matrix.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "model/block_format.hpp"

namespace troupe {
namespace {

PanelFormat panel_format(DType dtype, Arithmetic arithmetic) {
    if (arithmetic == Arithmetic::exact_f32) return PanelFormat::f32;
    switch (dtype) {
        case DType::f32:
            return PanelFormat::f32;
        case DType::f16:
            return PanelFormat::f16;
        case DType::bf16:
            return PanelFormat::bf16;
        case DType::q8_0:
            return PanelFormat::q8_0;
        case DType::q4_0:
            return PanelFormat::q4_0;
        case DType::q4_1:
            return PanelFormat::q4_1;
        case DType::q5_0:
            return PanelFormat::q5_0;
        case DType::q5_1:
            return PanelFormat::q5_1;
        case DType::q2_k:
            return PanelFormat::q2_k;
        case DType::q3_k:
            return PanelFormat::q3_k;
        case DType::q4_k:
            return PanelFormat::q4_k;
        case DType::q5_k:
            return PanelFormat::q5_k;
        case DType::q6_k:
            return PanelFormat::q6_k;
        case DType::iq4_nl:
            return PanelFormat::iq4_nl;
        case DType::mxfp4:
            return PanelFormat::mxfp4;
    }
    return PanelFormat::f32;
}

void store_4(std::byte* at, std::uint32_t value) { std::memcpy(at, &value, sizeof value); }

// A row's 4-byte slot in vector pair `pair` (panel_layout.hpp).
std::byte* slot(std::byte* pairs, std::size_t pair, std::size_t row) { return pairs + pair * 128 + row * 4; }

// `Bits` of each code from bit `Shift` up, in Bits pairs.
template <int Bits, int Shift>
void pack_bits(const std::uint32_t (&codes)[8], std::size_t row, std::byte* pairs) {
    constexpr int per_pair = 8 / Bits;
    constexpr std::uint32_t mask = ((1U << Bits) - 1) * 0x01010101U;
#pragma GCC unroll 8
    for (int pair = 0; pair < Bits; ++pair) {
        std::uint32_t word = 0;
#pragma GCC unroll 8
        for (int i = 0; i < per_pair; ++i) word |= (codes[pair * per_pair + i] >> Shift & mask) << (Bits * i);
        store_4(slot(pairs, static_cast<std::size_t>(pair), row), word);
    }
}

// A block's integer factors, of one row.
template <PanelFormat F>
void pack_factors(const WeightGroup& group, std::size_t row, std::byte* block) {
    const auto* scales = reinterpret_cast<const std::byte*>(group.scale_factors);
    const auto* minimums = reinterpret_cast<const std::byte*>(group.minimum_factors);
    for (std::size_t half = 0; half < scales_per_block(F); ++half) {
        block[32 * half + row] = scales[half];
        if (F == PanelFormat::q2_k) block[32 * half + row] |= minimums[half] << 4;
    }
    if (has_minimums(F) && scales_per_block(F) == 1) block[32 + row] = minimums[0];
}

template <PanelFormat F>
void pack_quantized_row(const BlockFormat& format, const std::byte* source, std::size_t columns,
                        std::size_t row, std::byte* panel) {
    WeightGroup group;
    for (std::size_t b = 0; b < columns / kBlockColumns; ++b, panel += block_bytes(F)) {
        format.read(source, b, group);
        std::byte* scales = panel;  // where the halves are: the block's own, or the header's
        if constexpr (has_header(F)) {
            if (b % kBlocksPerHeader == 0) panel += header_bytes(F);
            pack_factors<F>(group, row, panel);
        }
        if (!has_header(F) || b % kBlocksPerHeader == 0) {
            std::memcpy(scales + 2 * row, &group.scale, 2);
            if (has_minimums(F)) std::memcpy(scales + 64 + 2 * row, &group.minimum, 2);
        }
        std::byte* pairs = panel + scale_bytes(F);
        pack_bits<low_bits(F), 0>(group.codes, row, pairs + 128 * high_bits(F));
        if constexpr (high_bits(F) != 0) pack_bits<high_bits(F), low_bits(F)>(group.codes, row, pairs);
    }
}

using PackRow = void (*)(const BlockFormat&, const std::byte*, std::size_t, std::size_t, std::byte*);
template <std::size_t... Index>
constexpr std::array<PackRow, sizeof...(Index)> make_quantized_packers(std::index_sequence<Index...>) {
    return {pack_quantized_row<static_cast<PanelFormat>(Index)>...};
}
constexpr auto quantized_packers =
    make_quantized_packers(std::make_index_sequence<static_cast<std::size_t>(PanelFormat::f32)>());

void pack_f32_row(const Tensor& tensor, std::uint32_t n, std::vector<float>& scratch, std::byte* panel) {
    dequantize_row(tensor, n, scratch.data());
    for (std::size_t k = 0; k < tensor.columns; ++k)
        std::memcpy(panel + 128 * k + n % kPanelRows * 4, &scratch[k], 4);
}

void pack_f16_row(const std::byte* source, std::size_t columns, std::size_t row, std::byte* panel) {
    for (std::size_t k = 0; k < columns; ++k) std::memcpy(panel + 64 * k + row * 2, source + 2 * k, 2);
}

void pack_bf16_row(const std::byte* source, std::size_t columns, std::size_t row, std::byte* panel) {
    for (std::size_t k = 0; k < columns; ++k) {
        std::memcpy(slot(panel, k / 2, row) + k % 2 * 2, source + 2 * k, 2);
    }
}

void pack_panel(PanelFormat format, const Tensor& tensor, std::size_t index, std::byte* panel) {
    std::vector<float> scratch(format == PanelFormat::f32 ? tensor.columns : 0);
    RowScratch quantized;
    const std::size_t first = index * kPanelRows,
                      last = std::min<std::size_t>(first + kPanelRows, tensor.rows);
    for (std::size_t n = first; n < last; ++n) {
        const std::size_t row = n - first;
        if (format == PanelFormat::f32) {
            pack_f32_row(tensor, static_cast<std::uint32_t>(n), scratch, panel);
            continue;
        }
        const std::byte* source = read_row(tensor, static_cast<std::uint32_t>(n), quantized);
        switch (format) {
            case PanelFormat::f16:
                pack_f16_row(source, tensor.columns, row, panel);
                break;
            case PanelFormat::bf16:
                pack_bf16_row(source, tensor.columns, row, panel);
                break;
            default:
                quantized_packers[static_cast<std::size_t>(format)](*block_format(tensor.type()), source,
                                                                    tensor.columns, row, panel);
        }
    }
}

}  // namespace

PackedMatrix PackedMatrix::pack(ComputePool& pool, const Tensor& tensor, Arithmetic arithmetic,
                                WeightArena& arena) {
    PackedMatrix matrix;
    matrix.format_ = panel_format(tensor.type(), arithmetic);
    matrix.rows_ = tensor.rows;
    matrix.columns_ = tensor.columns;
    matrix.panel_bytes_ = troupe::panel_bytes(matrix.format_, tensor.columns);
    std::byte* data = arena.allocate(matrix.bytes());
    matrix.data_ = data;
    pool.run(matrix.num_panels(), [&](std::size_t panel, unsigned) {
        pack_panel(matrix.format_, tensor, panel, data + panel * matrix.panel_bytes_);
    });
    return matrix;
}

bool PackedMatrix::wants_int8() const { return is_quantized(format_); }

}  // namespace troupe
