// The block formats of quantized weights, as GGUF stores them (ggml-common.h and ggml-quants.c of
// https://github.com/ggml-org/ggml): each read as groups of 32 consecutive weights of a row, so that what
// computes with them needs to know none of the files' bit orders.
#pragma once
#include <cstddef>
#include <cstdint>

#include "model/tensor.hpp"

namespace troupe {

// weight k of a group = scale * value(code k) + minimum, both of the group, or of each half of it, and in the
// K formats the product of a number of the block and a small integer of the group: both products are exact in
// float32.
struct WeightGroup {
    std::uint32_t codes[8];     // four to a word, ascending from the lowest byte
    std::uint16_t scale = 0;    // as stored: half precision, or bfloat16 (MXFP4, whose range no half has)
    std::uint16_t minimum = 0;  // half precision
    std::int8_t scale_factors[2] = {1, 1};  // of each 16 weights
    std::uint8_t minimum_factors[2] = {1, 1};
};

struct BlockFormat {
    enum class Minimum : std::uint8_t { none, added, subtracted };

    std::uint32_t columns;  // weights in a block
    std::uint32_t bytes;    // of a block
    // A code stands for itself less the offset, or for the table's entry.
    std::int32_t offset;
    const std::int8_t* table;
    Minimum minimum;
    bool has_factors;
    bool bfloat16_scale;
    // Group `group` of a row of blocks.
    void (*read)(const std::byte* row, std::size_t group, WeightGroup& out);
};

const BlockFormat* block_format(DType dtype);  // nullptr: not quantized

// Twice the values of e2m1, the four-bit float of the OCP Microscaling Formats specification: the scales are
// halved instead.
inline constexpr std::int8_t mxfp4_values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
inline constexpr std::int8_t iq4_nl_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                  1,    13,   25,  38,  53,  69,  89,  113};

}  // namespace troupe
