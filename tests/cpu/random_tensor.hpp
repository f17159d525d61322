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
        const std::size_t block = row_bytes(dtype, block_columns(dtype));
        for (std::size_t at = 0; at < bytes.size(); at += block) set_scales(&bytes[at], random());
    }

    // Random bytes are good codes, but no good scales.
    void set_scales(std::byte* block, std::uint64_t random) const {
        const float unit = 0.001F + 0.01F * static_cast<float>(random % 1000) / 1000.0F;
        const auto set = [&](std::size_t at, float value) {
            const Half half = to_half(value);
            std::memcpy(block + at, &half, 2);
        };
        switch (tensor.dtype) {
            case DType::mxfp4:  // about 2^-9 to 2^-6
                block[0] = static_cast<std::byte>(118 + random % 4);
                break;
            case DType::iq4_nl:
                set(0, unit / 16);
                break;
            case DType::q4_1:
            case DType::q5_1:
                set(0, unit);
                set(2, -0.05F - unit * 3);
                break;
            case DType::q4_k:
            case DType::q5_k:
                set(0, unit / 32);
                set(2, unit / 8);
                break;
            case DType::q2_k:
                set(80, unit / 8);
                set(82, unit / 8);
                break;
            case DType::q3_k:
                set(108, unit / 32);
                break;
            case DType::q6_k:
                set(208, unit / 128);
                break;
            default:
                set(0, unit);
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
