#include "model/formats/gguf_types.hpp"

#include <algorithm>
#include <array>

namespace troupe::gguf {

namespace {

struct ValueTypeInfo {
    std::string_view name;
    std::size_t size;
};

constexpr std::array<ValueTypeInfo, 13> value_types = {{
    {"uint8", 1},
    {"int8", 1},
    {"uint16", 2},
    {"int16", 2},
    {"uint32", 4},
    {"int32", 4},
    {"float32", 4},
    {"bool", 1},
    {"string", 0},
    {"array", 0},
    {"uint64", 8},
    {"int64", 8},
    {"float64", 8},
}};

// Sizes: ggml-common.h's block structures. All known types are here, so that a file that holds one that we do
// not compute with is still read, and the refusal can name it.
constexpr std::array tensor_types = {
    TensorType{0, "F32", 1, 4, DType::f32},
    TensorType{1, "F16", 1, 2, DType::f16},
    TensorType{2, "Q4_0", 32, 18, DType::q4_0},
    TensorType{3, "Q4_1", 32, 20, DType::q4_1},
    TensorType{6, "Q5_0", 32, 22, DType::q5_0},
    TensorType{7, "Q5_1", 32, 24, DType::q5_1},
    TensorType{8, "Q8_0", 32, 34, DType::q8_0},
    TensorType{9, "Q8_1", 32, 36, {}},
    TensorType{10, "Q2_K", 256, 84, DType::q2_k},
    TensorType{11, "Q3_K", 256, 110, DType::q3_k},
    TensorType{12, "Q4_K", 256, 144, DType::q4_k},
    TensorType{13, "Q5_K", 256, 176, DType::q5_k},
    TensorType{14, "Q6_K", 256, 210, DType::q6_k},
    TensorType{15, "Q8_K", 256, 292, {}},
    TensorType{16, "IQ2_XXS", 256, 66, {}},
    TensorType{17, "IQ2_XS", 256, 74, {}},
    TensorType{18, "IQ3_XXS", 256, 98, {}},
    TensorType{19, "IQ1_S", 256, 50, {}},
    TensorType{20, "IQ4_NL", 32, 18, DType::iq4_nl},
    TensorType{21, "IQ3_S", 256, 110, {}},
    TensorType{22, "IQ2_S", 256, 82, {}},
    TensorType{23, "IQ4_XS", 256, 136, {}},
    TensorType{24, "I8", 1, 1, {}},
    TensorType{25, "I16", 1, 2, {}},
    TensorType{26, "I32", 1, 4, {}},
    TensorType{27, "I64", 1, 8, {}},
    TensorType{28, "F64", 1, 8, {}},
    TensorType{29, "IQ1_M", 256, 56, {}},
    TensorType{30, "BF16", 1, 2, DType::bf16},
    TensorType{34, "TQ1_0", 256, 54, {}},
    TensorType{35, "TQ2_0", 256, 66, {}},
    TensorType{39, "MXFP4", 32, 17, DType::mxfp4},
};

}  // namespace

std::size_t value_size(std::uint32_t type) { return type < value_types.size() ? value_types[type].size : 0; }

std::string_view value_type_name(std::uint32_t type) {
    return type < value_types.size() ? value_types[type].name : "unknown";
}

bool is_integer(std::uint32_t type) {
    return type < value_types.size() && value_types[type].size != 0 && type != type_float32 &&
           type != type_float64 && type != type_bool;
}

const TensorType* find_tensor_type(std::uint32_t id) {
    const auto* found = std::find_if(tensor_types.begin(), tensor_types.end(),
                                     [id](const TensorType& t) { return t.id == id; });
    return found == tensor_types.end() ? nullptr : found;
}

const TensorType& tensor_type_of(DType dtype) {
    return *std::find_if(tensor_types.begin(), tensor_types.end(),
                         [dtype](const TensorType& t) { return t.dtype == dtype; });
}

}  // namespace troupe::gguf
