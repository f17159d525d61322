// A weight matrix as it lies in a mapped file. Non-owning: Weights::storage keeps the bytes alive.
#pragma once
#include <cstddef>
#include <cstdint>

namespace troupe {

enum class DType : std::uint8_t { f32, f16, bf16, q8_0, q4_0, q4_1 };

const char* dtype_name(DType dtype);  // "F32", "Q8_0", ... as GGUF names them
std::size_t row_bytes(DType dtype,
                      std::size_t columns);  // columns must be a multiple of the block (32) if quantized

// [rows][columns], a row contiguous; y = W x has y[rows], x[columns]. Vectors have rows = 1.
struct Tensor {
    DType dtype = DType::f32;
    std::uint32_t rows = 0;
    std::uint32_t columns = 0;
    const std::byte* data = nullptr;  // nullptr: the model has no such tensor (an absent bias)

    explicit operator bool() const { return data != nullptr; }
};

// Exactly dequantized (or widened) row `row` into out[columns].
void dequantize_row(const Tensor& tensor, std::uint32_t row, float* out);

}  // namespace troupe
