#include "model/tensor.hpp"

#include <bit>
#include <cstring>

#include "model/float16.hpp"

namespace troupe {
namespace {

// ggml's block formats (https://github.com/ggml-org/ggml/blob/master/src/ggml-common.h): 32 weights share a
// half-precision scale d. Q8_0: d * q. Q4_0: d * (q - 8). Q4_1: d * q + m. Low nibbles are weights 0 to 15.
constexpr std::size_t block_weights = 32;

std::size_t block_bytes(DType dtype) {
    switch (dtype) {
        case DType::q8_0:
            return 34;
        case DType::q4_0:
            return 18;
        case DType::q4_1:
            return 20;
        default:
            return 0;  // not a block format
    }
}

template <class T>
T read(const std::byte* at) {  // files need not align their tensors
    T value;
    std::memcpy(&value, at, sizeof value);
    return value;
}

template <class T>
void widen_row(const std::byte* data, std::size_t columns, float* out) {
    for (std::size_t i = 0; i < columns; ++i) out[i] = to_float(read<T>(data + i * sizeof(T)));
}

void dequantize_block(DType dtype, const std::byte* block, float* out) {
    const float scale = to_float(read<Half>(block));
    if (dtype == DType::q8_0) {
        for (std::size_t i = 0; i < block_weights; ++i) {
            out[i] = scale * static_cast<float>(static_cast<std::int8_t>(block[2 + i]));
        }
        return;
    }
    const float offset = dtype == DType::q4_0 ? 8.0F : 0.0F;
    const float minimum = dtype == DType::q4_1 ? to_float(read<Half>(block + 2)) : 0.0F;
    const std::byte* nibbles = block + (dtype == DType::q4_1 ? 4 : 2);
    for (std::size_t i = 0; i < block_weights / 2; ++i) {
        const auto pair = std::to_integer<unsigned>(nibbles[i]);
        out[i] = scale * (static_cast<float>(pair & 15U) - offset) + minimum;
        out[i + 16] = scale * (static_cast<float>(pair >> 4) - offset) + minimum;
    }
}

}  // namespace

const char* dtype_name(DType dtype) {
    switch (dtype) {
        case DType::f32:
            return "F32";
        case DType::f16:
            return "F16";
        case DType::bf16:
            return "BF16";
        case DType::q8_0:
            return "Q8_0";
        case DType::q4_0:
            return "Q4_0";
        case DType::q4_1:
            return "Q4_1";
    }
    return "unknown";
}

std::size_t row_bytes(DType dtype, std::size_t columns) {
    switch (dtype) {
        case DType::f32:
            return columns * 4;
        case DType::f16:
        case DType::bf16:
            return columns * 2;
        default:
            return columns / block_weights * block_bytes(dtype);
    }
}

void dequantize_row(const Tensor& tensor, std::uint32_t row, float* out) {
    const std::byte* data = tensor.data + row * row_bytes(tensor.dtype, tensor.columns);
    switch (tensor.dtype) {
        case DType::f32:
            std::memcpy(out, data, tensor.columns * sizeof(float));
            return;
        case DType::f16:
            widen_row<Half>(data, tensor.columns, out);
            return;
        case DType::bf16:
            widen_row<BFloat16>(data, tensor.columns, out);
            return;
        default:
            break;
    }
    for (std::size_t i = 0; i < tensor.columns; i += block_weights) {
        dequantize_block(tensor.dtype, data, out + i);
        data += block_bytes(tensor.dtype);
    }
}

}  // namespace troupe
