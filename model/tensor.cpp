#include "model/tensor.hpp"

#include <cstring>

#include "model/block_format.hpp"
#include "model/float16.hpp"
#include "model/quantize/quantize.hpp"

namespace troupe {
namespace {

template <class T>
void widen_row(const std::byte* data, std::size_t columns, float* out) {
    for (std::size_t i = 0; i < columns; ++i) {
        T value;
        std::memcpy(&value, data + i * sizeof(T), sizeof(T));
        out[i] = to_float(value);
    }
}

// Every product here is exact in float32, so that only the last addition rounds.
void dequantize_group(const BlockFormat& format, const WeightGroup& group, float* out) {
    const float scale = format.bfloat16_scale ? to_float(BFloat16{group.scale}) : to_float(Half{group.scale});
    const float minimum = to_float(Half{group.minimum});
    for (std::size_t half = 0; half < 2; ++half) {
        const float factor = scale * static_cast<float>(group.scale_factors[half]);
        const float offset = minimum * static_cast<float>(group.minimum_factors[half]);
        for (std::size_t k = 16 * half; k < 16 * half + 16; ++k) {
            const auto code = static_cast<std::int32_t>(group.codes[k / 4] >> 8 * (k % 4) & 255);
            const std::int32_t value = format.table ? format.table[code] : code - format.offset;
            out[k] = factor * static_cast<float>(value);
            if (format.minimum == BlockFormat::Minimum::added) out[k] += offset;
            if (format.minimum == BlockFormat::Minimum::subtracted) out[k] -= offset;
        }
    }
}

void dequantize(DType dtype, const std::byte* data, std::uint32_t columns, float* out) {
    switch (dtype) {
        case DType::f32:
            std::memcpy(out, data, columns * sizeof(float));
            return;
        case DType::f16:
            widen_row<Half>(data, columns, out);
            return;
        case DType::bf16:
            widen_row<BFloat16>(data, columns, out);
            return;
        default:
            break;
    }
    const BlockFormat& format = *block_format(dtype);
    WeightGroup group;
    for (std::size_t i = 0; i * 32 < columns; ++i) {
        format.read(data, i, group);
        dequantize_group(format, group, out + i * 32);
    }
}

const std::byte* stored_row(const Tensor& tensor, std::uint32_t row) {
    if (tensor.paired_heads != 0) {
        const std::uint32_t size = tensor.rows / tensor.paired_heads;
        const std::uint32_t in_head = row % size;
        row = row - in_head + in_head % 2 * (size / 2) + in_head / 2;
    }
    return tensor.data + row * row_bytes(tensor.dtype, tensor.columns);
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
        case DType::q5_0:
            return "Q5_0";
        case DType::q5_1:
            return "Q5_1";
        case DType::q2_k:
            return "Q2_K";
        case DType::q3_k:
            return "Q3_K";
        case DType::q4_k:
            return "Q4_K";
        case DType::q5_k:
            return "Q5_K";
        case DType::q6_k:
            return "Q6_K";
        case DType::iq4_nl:
            return "IQ4_NL";
        case DType::mxfp4:
            return "MXFP4";
    }
    return "unknown";
}

std::string dtype_names() {
    std::string names;
    for (const DType dtype : all_dtypes) {
        if (!names.empty()) names += dtype == std::end(all_dtypes)[-1] ? " and " : ", ";
        names += dtype_name(dtype);
    }
    return names;
}

std::uint32_t block_columns(DType dtype) {
    const BlockFormat* format = block_format(dtype);
    return format ? format->columns : 1;
}

std::size_t row_bytes(DType dtype, std::size_t columns) {
    if (const BlockFormat* format = block_format(dtype)) return columns / format->columns * format->bytes;
    return columns * (dtype == DType::f32 ? 4 : 2);
}

void dequantize_row(const Tensor& tensor, std::uint32_t row, float* out) {
    if (tensor.type() != tensor.dtype) {
        RowScratch scratch;
        const std::byte* bytes = read_row(tensor, row, scratch);
        return dequantize(tensor.type(), bytes, tensor.columns, out);
    }
    dequantize(tensor.dtype, stored_row(tensor, row), tensor.columns, out);
}

const std::byte* read_row(const Tensor& tensor, std::uint32_t row, RowScratch& scratch) {
    const std::byte* stored = stored_row(tensor, row);
    if (tensor.type() == tensor.dtype) return stored;
    scratch.values.resize(tensor.columns);
    scratch.bytes.resize(row_bytes(tensor.type(), tensor.columns));
    dequantize(tensor.dtype, stored, tensor.columns, scratch.values.data());
    const bool good =
        quantize_row(tensor.type(), scratch.values.data(), tensor.columns, scratch.bytes.data());
    scratch.finite = scratch.finite && good;
    return scratch.bytes.data();
}

}  // namespace troupe
