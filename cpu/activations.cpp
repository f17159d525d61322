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

void Activations::copy_quantized_row(std::size_t row, const Activations& from, std::size_t from_row) {
    const std::size_t blocks = num_blocks(), to = row * blocks, at = from_row * blocks;
    std::copy_n(from.q_.begin() + from_row * q_stride(), columns_, q_.begin() + row * q_stride());
    std::copy_n(from.scales_.begin() + at, blocks, scales_.begin() + to);
    std::copy_n(from.negated_sums_.begin() + at, blocks, negated_sums_.begin() + to);
    std::copy_n(from.negated_half_sums_.begin() + 2 * at, 2 * blocks, negated_half_sums_.begin() + 2 * to);
    std::copy_n(from.scaled_sums_.begin() + at, blocks, scaled_sums_.begin() + to);
}

}  // namespace troupe
