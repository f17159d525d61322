// Rows of floats to the block formats of quantized weights (model/block_format.hpp). Whoever quantizes, be it
// into a file or while a model is loaded, does it here, so that both have the same bits. Thread-safe.
#pragma once
#include <cstddef>

#include "model/tensor.hpp"

namespace troupe {

// Whether quantize_row() writes it: Q8_0, Q4_0, Q4_1, Q4_K, F32, F16, BF16.
bool can_quantize_to(DType type);

// x[columns] as a row of `type`, columns a multiple of its block. False if a value is not finite, or too
// large for the type: what that block means is then not a number, never something else. Precondition:
// can_quantize_to(type).
bool quantize_row(DType type, const float* x, std::size_t columns, std::byte* out);

// Blocks of 32 columns.
bool quantize_q8_0(const float* x, std::size_t columns, std::byte* out);
bool quantize_q4_0(const float* x, std::size_t columns, std::byte* out);
bool quantize_q4_1(const float* x, std::size_t columns, std::byte* out);
// Blocks of 256.
bool quantize_q4_k(const float* x, std::size_t columns, std::byte* out);

}  // namespace troupe
