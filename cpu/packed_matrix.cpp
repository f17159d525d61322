#include "cpu/packed_matrix.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

namespace troupe {
namespace {

static_assert(std::endian::native == std::endian::little,
              "packing moves four weights at a time as one integer");

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
    }
    return PanelFormat::f32;
}

std::uint32_t load_4(const std::byte* at) {
    std::uint32_t value;
    std::memcpy(&value, at, sizeof value);
    return value;
}
void store_4(std::byte* at, std::uint32_t value) { std::memcpy(at, &value, sizeof value); }

// A row's 4-byte slot in vector pair `pair` of a step (panel_layout.hpp).
std::byte* slot(std::byte* pairs, std::size_t pair, std::size_t row) { return pairs + pair * 128 + row * 4; }

// One row's blocks into a panel. GGUF's blocks: half d, (half m,) then 32 int8 or 16 bytes of nibbles, low
// nibbles k = 0 .. 15, high nibbles k = 16 .. 31.
void pack_quantized_row(PanelFormat format, const std::byte* source, std::size_t columns, std::size_t row,
                        std::byte* panel) {
    const std::size_t scales_in_file = has_minimums(format) ? 4 : 2;
    const std::size_t weights_in_file = format == PanelFormat::q8_0 ? 32 : 16;
    for (std::size_t k = 0; k < columns; k += kBlockColumns, panel += panel_step(format).bytes) {
        std::memcpy(panel + 2 * row, source, 2);
        if (has_minimums(format)) std::memcpy(panel + 64 + 2 * row, source + 2, 2);
        const std::byte* weights = source + scales_in_file;
        std::byte* pairs = panel + scale_bytes(format);
        if (format == PanelFormat::q8_0) {
            for (std::size_t j = 0; j < 8; ++j)
                store_4(slot(pairs, j, row), load_4(weights + 4 * j) ^ 0x80808080U);
        } else {
            for (std::size_t j = 0; j < 2;
                 ++j) {  // bytes 8j .. 8j+7 hold k = 8j .. 8j+7 and 16 + 8j .. 16 + 8j+7
                const std::uint32_t a = load_4(weights + 8 * j), b = load_4(weights + 8 * j + 4);
                store_4(slot(pairs, j, row), (a & 0x0f0f0f0fU) | (b & 0x0f0f0f0fU) << 4);
                store_4(slot(pairs, j + 2, row), (a >> 4 & 0x0f0f0f0fU) | (b & 0xf0f0f0f0U));
            }
        }
        source += scales_in_file + weights_in_file;
    }
}

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
    const std::size_t first = index * kPanelRows,
                      last = std::min<std::size_t>(first + kPanelRows, tensor.rows);
    for (std::size_t n = first; n < last; ++n) {
        const std::byte* source = tensor.data + n * row_bytes(tensor.dtype, tensor.columns);
        const std::size_t row = n - first;
        switch (format) {
            case PanelFormat::f32:
                pack_f32_row(tensor, static_cast<std::uint32_t>(n), scratch, panel);
                break;
            case PanelFormat::f16:
                pack_f16_row(source, tensor.columns, row, panel);
                break;
            case PanelFormat::bf16:
                pack_bf16_row(source, tensor.columns, row, panel);
                break;
            default:
                pack_quantized_row(format, source, tensor.columns, row, panel);
        }
    }
}

}  // namespace

PackedMatrix PackedMatrix::pack(ComputePool& pool, const Tensor& tensor, Arithmetic arithmetic,
                                WeightArena& arena) {
    PackedMatrix matrix;
    matrix.format_ = panel_format(tensor.dtype, arithmetic);
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
