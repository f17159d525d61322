// A weight matrix as it lies in a mapped file. Non-owning: Weights::storage keeps the bytes alive.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

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
    // What its rows become when they are read, if not what the file has: quantized on the way.
    std::optional<DType> becomes = {};
    // Its rows are those of so many heads, and are read in the order of rotary pairs side by side: i, i +
    // half.
    std::uint32_t paired_heads = 0;

    DType type() const { return becomes.value_or(dtype); }  // of a row that was read
    bool read_as_stored() const { return type() == dtype && paired_heads == 0; }
    explicit operator bool() const { return data != nullptr; }
};

// Row `row` into out[columns]: widened, or dequantized to the true value rounded once to float32.
void dequantize_row(const Tensor& tensor, std::uint32_t row, float* out);

// Memory for a row on its way.
struct RowScratch {
    std::vector<float> values;
    std::vector<std::byte> bytes;
    bool finite = true;  // false: a row had a value that is not, or that is too large for the type it becomes
};

// Row `row` as row_bytes(tensor.type(), columns) bytes, in the file or in the scratch memory.
const std::byte* read_row(const Tensor& tensor, std::uint32_t row, RowScratch& scratch);

}  // namespace troupe
