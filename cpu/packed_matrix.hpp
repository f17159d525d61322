// Weight matrices laid out for the CPU's products y = W x, and the products.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "cpu/activations.hpp"
#include "cpu/compute_pool.hpp"
#include "cpu/cpu_features.hpp"
#include "cpu/panel_layout.hpp"
#include "cpu/weight_arena.hpp"
#include "model/tensor.hpp"

namespace troupe {

enum class Arithmetic : std::uint8_t {
    native,     // quantized weights x int8 activations; float weights x float32 activations
    exact_f32,  // all weights dequantized to float32 exactly, float32 activations: the reference (--compute
                // f32)
};

// Panels of 32 output rows; a panel is one stream along k that a product reads from front to back. The last
// panel is filled up with rows of zeros. Read-only after pack(), a cheap handle: the bytes belong to the
// arena.
class PackedMatrix {
  public:
    PackedMatrix() = default;

    // Packs `tensor` into `arena`, panels shared out over the pool's threads. The tensor's data must be rows
    // x columns, columns a multiple of the block if it is quantized. May throw std::bad_alloc.
    static PackedMatrix pack(ComputePool& pool, const Tensor& tensor, Arithmetic arithmetic,
                             WeightArena& arena);

    std::size_t rows() const { return rows_; }
    std::size_t columns() const { return columns_; }
    std::size_t num_panels() const { return (rows_ + kPanelRows - 1) / kPanelRows; }
    std::size_t panel_bytes() const { return panel_bytes_; }
    std::size_t bytes() const { return panel_bytes_ * num_panels(); }
    PanelFormat format() const { return format_; }
    const std::byte* panel(std::size_t index) const { return data_ + index * panel_bytes_; }
    // Its products read the int8 form of the activations (Activations::quantize), not the float32 rows.
    bool wants_int8() const;
    explicit operator bool() const { return data_ != nullptr; }

  private:
    const std::byte* data_ = nullptr;
    std::size_t rows_ = 0, columns_ = 0, panel_bytes_ = 0;
    PanelFormat format_ = PanelFormat::f32;
};

// out[m * out_stride + n] = sum over k of matrix[n][k] * activations[first_row + m][k], for num_rows rows m.
struct Product {
    static constexpr std::size_t all_rows = static_cast<std::size_t>(-1);
    const PackedMatrix* matrix = nullptr;
    float* out = nullptr;  // [num_rows][out_stride]
    std::size_t out_stride =
        0;  // >= matrix->rows(); multiples of 4 KB cost some percent when there are many rows
    std::size_t first_row = 0;
    std::size_t num_rows = all_rows;
};
bool any_wants_int8(std::span<const Product> products);

// Several products of the same activations (q, k, v; gate, up; those of all experts, each with rows of its
// own) in one phase of the pool. Every output is one
// chain of fused multiply-adds in ascending k, so its bits depend on its row of weights and its row of
// activations only: not on the other rows, the number of threads, or the path. Precondition: each matrix has
// activations.columns() columns, and quantize() was called if any wants_int8().
void multiply(ComputePool& pool, std::span<const Product> products, const Activations& activations,
              KernelPath path = best_kernel_path());

}  // namespace troupe
