#include "cpu/activations.hpp"

#include <algorithm>

#include "cpu/kernels.hpp"

namespace troupe {

static_assert(Activations::kBlock == kBlockColumns);

void Activations::bind(const float* x, std::size_t rows, std::size_t columns, std::size_t stride) {
    x_ = x;
    rows_ = rows;
    columns_ = columns;
    x_stride_ = stride;
    if (q_.size() < rows * q_stride()) q_.resize(rows * q_stride());
    if (scales_.size() < rows * num_blocks()) {
        scales_.resize(rows * num_blocks());
        scaled_sums_.resize(rows * num_blocks());
        negated_sums_.resize(rows * num_blocks());
        negated_half_sums_.resize(2 * rows * num_blocks());
    }
}

void Activations::quantize(ComputePool& pool) {
    constexpr std::size_t values_worth_sharing = 16384;  // 2 to 3 microseconds of one core
    const std::size_t chunks =
        std::min(rows_, (rows_ * columns_ + values_worth_sharing - 1) / values_worth_sharing);
    pool.run(chunks, [&](std::size_t chunk, unsigned) {
        for (std::size_t m = rows_ * chunk / chunks; m < rows_ * (chunk + 1) / chunks; ++m) quantize_row(m);
    });
}

void Activations::quantize_row(std::size_t m) {
    const std::size_t block = m * num_blocks();
    kernels_of(path_).quantize_row(row(m), num_blocks(),
                                   {.q = q_.data() + m * q_stride(),
                                    .scales = scales_.data() + block,
                                    .negated_sums = negated_sums_.data() + block,
                                    .negated_half_sums = negated_half_sums_.data() + 2 * block,
                                    .scaled_sums = scaled_sums_.data() + block});
}

}  // namespace troupe
