// A weight matrix as it lies in a mapped file. Non-owning: Weights::storage keeps the bytes alive.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace troupe {

enum class DType : std::uint8_t {
    f32,
    f16,
    bf16,
    q8_0,
    q4_0,
    q4_1,
    q5_0,
    q5_1,
    q2_k,
    q3_k,
    q4_k,
    q5_k,
    q6_k,
    iq4_nl,
    mxfp4
};
inline constexpr DType all_dtypes[] = {DType::f32,  DType::f16,  DType::bf16, DType::q8_0,   DType::q4_0,
                                       DType::q4_1, DType::q5_0, DType::q5_1, DType::q2_k,   DType::q3_k,
                                       DType::q4_k, DType::q5_k, DType::q6_k, DType::iq4_nl, DType::mxfp4};

const char* dtype_name(DType dtype);                      // "F32", "Q8_0", ... as GGUF names them
std::string dtype_names();                                // of all, for messages: "F32, F16 and BF16"
std::uint32_t block_columns(DType dtype);                 // 32 or 256 if quantized, else 1
std::size_t row_bytes(DType dtype, std::size_t columns);  // columns must be a multiple of the block

// [rows][columns], a row contiguous; y = W x has y[rows], x[columns]. Vectors have rows = 1.
struct Tensor {
    DType dtype = DType::f32;
    std::uint32_t rows = 0;
    std::uint32_t columns = 0;
    const std::byte* data = nullptr;  // nullptr: the model has no such tensor (an absent bias)

    explicit operator bool() const { return data != nullptr; }
};

// Row `row` into out[columns]: widened, or dequantized to the true value rounded once to float32.
void dequantize_row(const Tensor& tensor, std::uint32_t row, float* out);

}  // namespace troupe
