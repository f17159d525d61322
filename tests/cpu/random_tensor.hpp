// Random weights in each of the file formats, and random activations, for tests and benchmarks of the CPU
// room.
#pragma once
#include <cstring>
#include <random>
#include <vector>

#include "model/float16.hpp"
#include "model/tensor.hpp"

namespace troupe {

struct RandomTensor {
    std::vector<std::byte> bytes;
    Tensor tensor;

    RandomTensor(DType dtype, std::uint32_t rows, std::uint32_t columns, std::uint64_t seed)
        : bytes(rows * row_bytes(dtype, columns)), tensor{dtype, rows, columns, bytes.data()} {
        std::mt19937_64 random(seed);
        std::normal_distribution<float> normal(0.0F, 0.02F);
        if (dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16) {
            const std::size_t width = dtype == DType::f32 ? 4 : 2;
            for (std::size_t at = 0; at < bytes.size(); at += width) {
                const float value = normal(random);
                const Half half = to_half(value);
                const BFloat16 bfloat = to_bfloat16(value);
                std::memcpy(&bytes[at],
                            dtype == DType::f32   ? static_cast<const void*>(&value)
                            : dtype == DType::f16 ? static_cast<const void*>(&half)
                                                  : &bfloat,
                            width);
            }
            return;
        }
        for (auto& byte : bytes) byte = static_cast<std::byte>(random());
        const std::size_t block = row_bytes(dtype, 32);
        for (std::size_t at = 0; at < bytes.size(); at += block) {
            const Half scale = to_half(0.001F + 0.01F * static_cast<float>(random() % 1000) / 1000.0F);
            std::memcpy(&bytes[at], &scale, 2);
            const Half minimum = to_half(-0.05F - 0.03F * static_cast<float>(random() % 1000) / 1000.0F);
            if (dtype == DType::q4_1) std::memcpy(&bytes[at + 2], &minimum, 2);
        }
    }
    RandomTensor(const RandomTensor&) = delete;
    RandomTensor& operator=(const RandomTensor&) = delete;
};

// Normally distributed, one in 200 twenty times larger, as the channels of real models are.
inline std::vector<float> random_rows(std::size_t count, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::normal_distribution<float> normal;
    std::vector<float> values(count);
    for (float& value : values) value = normal(random) * (random() % 200 == 0 ? 20.0F : 1.0F);
    return values;
}

}  // namespace troupe
