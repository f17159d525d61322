// The types of GGUF: of metadata values, and of tensors with the block sizes of ggml's formats.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "model/tensor.hpp"

namespace troupe::gguf {

enum ValueType : std::uint32_t {
    type_uint8 = 0,
    type_int8 = 1,
    type_uint16 = 2,
    type_int16 = 3,
    type_uint32 = 4,
    type_int32 = 5,
    type_float32 = 6,
    type_bool = 7,
    type_string = 8,
    type_array = 9,
    type_uint64 = 10,
    type_int64 = 11,
    type_float64 = 12,
};

// Bytes of a value of fixed size; 0 for strings, arrays and what is no type.
std::size_t value_size(std::uint32_t type);
std::string_view value_type_name(std::uint32_t type);
bool is_integer(std::uint32_t type);

struct TensorType {
    std::uint32_t id;
    std::string_view name;
    std::uint32_t block_elements;
    std::uint32_t block_bytes;
    std::optional<DType> dtype;
};

const TensorType* find_tensor_type(std::uint32_t id);  // nullptr: unknown
const TensorType& tensor_type_of(DType dtype);

}  // namespace troupe::gguf
