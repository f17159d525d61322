#include "cpu/packed_matrix.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>
#include <vector>

#include "cpu/kernels.hpp"

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

// ---- products

// Activations of this many rows stay in the second-level cache while the panels go by.
constexpr std::size_t kRowsPerPass = 128;
// With a single tile of rows there is no tile to spread a panel's prefetch over: fetch this far ahead
// instead.
constexpr std::size_t kPrefetchAhead = 8192;
// A phase with less work than this (bytes of weights x rows) is done sooner by one thread than shared out.
constexpr std::size_t kWorthSharing = 65536;

// Fewer rows than this: too little arithmetic per line of weights for software prefetch to pay; the
// processor's own prefetcher does better alone. Measured.
std::size_t least_rows_to_prefetch(PanelFormat format) {
    switch (format) {
        case PanelFormat::q4_0:
        case PanelFormat::q4_1:
            return 3;
        case PanelFormat::q8_0:
            return 5;
        default:
            return 8;
    }
}

Tile tile_of(const Activations& a, std::size_t m, const Product& product, std::size_t panel) {
    const std::size_t first = panel * kPanelRows, block = m * a.num_blocks();
    return {.panel = product.matrix->panel(panel),
            .columns = a.columns(),
            .q = a.q() + m * a.q_stride(),
            .q_stride = a.q_stride(),
            .scales = a.scales() + block,
            .negated_sums = a.negated_sums() + block,
            .scaled_sums = a.scaled_sums() + block,
            .num_blocks = a.num_blocks(),
            .x = a.row(m),
            .x_stride = a.stride(),
            .out = product.out + m * product.out_stride + first,
            .out_stride = product.out_stride,
            .out_columns = static_cast<unsigned>(std::min(kPanelRows, product.matrix->rows() - first)),
            .prefetch = nullptr,
            .prefetch_lines = 0};
}

// Panels [begin, end) of one product. A panel is read from memory once per pass and stays in the second-level
// cache for the pass's tiles; while they run, each fetches its share of the panel to come. Tiles go over all
// of k: there are no partial sums, and the order of additions is the same whatever the blocking.
void multiply_panels(const Kernels& kernels, const Product& product, const Activations& a, std::size_t begin,
                     std::size_t end) {
    const PackedMatrix& matrix = *product.matrix;
    const PanelFormat format = matrix.format();
    const TileFunctions& functions = kernels.tiles[static_cast<std::size_t>(format)];
    const std::size_t steps = std::max<std::size_t>(1, a.columns() / kPrefetchColumns);
    for (std::size_t pass = 0; pass < a.rows(); pass += kRowsPerPass) {
        const std::size_t rows = std::min(kRowsPerPass, a.rows() - pass);
        const std::size_t tiles = (rows + functions.most_rows - 1) / functions.most_rows;
        const std::size_t lines_per_step = matrix.panel_bytes() / 64 / steps;
        const std::size_t lines =
            rows < least_rows_to_prefetch(format) ? 0 : (lines_per_step + tiles - 1) / tiles;
        for (std::size_t panel = begin; panel < end; ++panel) {
            const std::byte* next = matrix.panel(panel) + (tiles > 1 ? matrix.panel_bytes() : kPrefetchAhead);
            for (std::size_t i = 0; i < tiles; ++i) {  // rows shared out evenly: 32 = 4 x 5 + 2 x 6
                const std::size_t m = pass + rows * i / tiles, count = pass + rows * (i + 1) / tiles - m;
                Tile tile = tile_of(a, m, product, panel);
                tile.prefetch = next;
                tile.prefetch_lines = static_cast<unsigned>(lines);
                functions.by_rows[count - 1](tile);
                next += lines * 64 * steps;
            }
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

void multiply(ComputePool& pool, std::span<const Product> products, const Activations& activations,
              KernelPath path) {
    const Kernels& kernels = kernels_of(path);
    std::size_t panels = 0, bytes = 0;
    for (const Product& product : products) {
        panels += product.matrix->num_panels();
        bytes += product.matrix->bytes();
    }
    const bool share = pool.num_threads() > 1 && bytes * activations.rows() >= kWorthSharing;
    const std::size_t chunks = share ? std::min<std::size_t>(panels, 4 * pool.num_threads()) : 1;
    pool.run(chunks, [&](std::size_t chunk, unsigned) {
        // A chunk is a range of the panels of all products in a row.
        std::size_t begin = panels * chunk / chunks;
        const std::size_t end = panels * (chunk + 1) / chunks;
        std::size_t first = 0;  // panel of the product at hand
        for (const Product& product : products) {
            const std::size_t last = first + product.matrix->num_panels();
            if (begin < std::min(end, last)) {
                multiply_panels(kernels, product, activations, begin - first, std::min(end, last) - first);
                begin = std::min(end, last);
            }
            first = last;
        }
    });
}

}  // namespace troupe
