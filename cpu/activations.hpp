// The input rows of matrix products: float32 rows of the caller's, and their int8 form for quantized weights.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "cpu/compute_pool.hpp"
#include "cpu/cpu_features.hpp"

namespace troupe {

// Rows of floats somewhere: a cheap handle.
struct FloatRows {
    float* data = nullptr;
    std::size_t count = 0;
    std::size_t columns = 0;
    std::size_t stride = 0;  // floats between rows
    float* row(std::size_t index) const { return data + index * stride; }
};

// int8 form, per 32 values: scale d = max|x| / 127, q = round to nearest even of x / d. Blocks whose largest
// value is below 1e-30 are zeros; a block with a NaN or an infinity has d = NaN and q = 0, so that its
// products are NaN.
class Activations {
  public:
    static constexpr std::size_t kBlock = 32;

    explicit Activations(KernelPath path = best_kernel_path()) : path_(path) {}

    // Rows to multiply: x[rows][stride], `columns` of them used; kept by reference, and read by products with
    // float weights and by quantize(). Grows the memory for the int8 form, never shrinks it. Strides of a
    // multiple of 4 KB are slow: all rows then compete for the same cache sets.
    void bind(const float* x, std::size_t rows, std::size_t columns, std::size_t stride);

    // Makes the int8 form of all rows, or of one; different rows may be quantized by different threads at
    // once. Columns must be a multiple of kBlock.
    void quantize(ComputePool& pool);
    void quantize_row(std::size_t row);
    // Takes the int8 form of row `row` from that of another's row, which has as many columns.
    void copy_quantized_row(std::size_t row, const Activations& from, std::size_t from_row);

    std::size_t rows() const { return rows_; }
    std::size_t columns() const { return columns_; }
    const float* row(std::size_t m) const { return x_ + m * x_stride_; }
    std::size_t stride() const { return x_stride_; }

    // The int8 form, for kernels: q[rows][q_stride], and per block b of row m, at m * num_blocks + b:
    std::size_t num_blocks() const { return columns_ / kBlock; }
    std::size_t q_stride() const { return columns_ + 64; }  // keeps rows apart in the first-level cache
    const std::int8_t* q() const { return q_.data(); }
    const float* scales() const { return scales_.data(); }
    const std::int32_t* negated_sums() const { return negated_sums_.data(); }  // -sum(q)
    const float* scaled_sums() const { return scaled_sums_.data(); }           // d * sum(q), rounded once
    const std::int32_t* negated_half_sums() const { return negated_half_sums_.data(); }  // [2], of 16 each

  private:
    KernelPath path_;
    const float* x_ = nullptr;
    std::size_t rows_ = 0, columns_ = 0, x_stride_ = 0;
    std::vector<std::int8_t> q_;
    std::vector<float> scales_, scaled_sums_;
    std::vector<std::int32_t> negated_sums_, negated_half_sums_;
};

}  // namespace troupe
