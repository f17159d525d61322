#include "model/formats/gguf.hpp"

#include <cstring>

#include "model/formats/gguf_types.hpp"
#include "model/formats/printable.hpp"

namespace troupe {

namespace {

template <class T>
T load(const std::byte* data) {
    T value;
    std::memcpy(&value, data, sizeof(T));
    return value;
}

// An integer as 64 bits with its sign; uint64 values above the int64 range come out negative with `huge` set.
struct Integer {
    std::int64_t value;
    bool huge;
};

Integer load_integer(std::uint32_t type, const std::byte* data) {
    switch (type) {
        case gguf::type_uint8:
            return {load<std::uint8_t>(data), false};
        case gguf::type_int8:
            return {load<std::int8_t>(data), false};
        case gguf::type_uint16:
            return {load<std::uint16_t>(data), false};
        case gguf::type_int16:
            return {load<std::int16_t>(data), false};
        case gguf::type_uint32:
            return {load<std::uint32_t>(data), false};
        case gguf::type_int32:
            return {load<std::int32_t>(data), false};
        default:
            break;
    }
    const auto value = load<std::int64_t>(data);
    return {value, type == gguf::type_uint64 && value < 0};
}

std::string_view load_string(const std::byte* data) {
    return {reinterpret_cast<const char*>(data) + sizeof(std::uint64_t), load<std::uint64_t>(data)};
}

}  // namespace

const GgufValue* GgufFile::find(std::string_view key) const {
    const auto found = metadata_.find(key);
    return found == metadata_.end() ? nullptr : &found->second;
}

std::optional<std::uint64_t> GgufFile::get_uint(std::string_view key) const {
    const GgufValue* value = find(key);
    if (value == nullptr || !gguf::is_integer(value->type)) return std::nullopt;
    const Integer integer = load_integer(value->type, value->data.data());
    if (integer.value < 0 && !integer.huge) return std::nullopt;
    return static_cast<std::uint64_t>(integer.value);
}

std::optional<double> GgufFile::get_float(std::string_view key) const {
    const GgufValue* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (value->type == gguf::type_float32) return load<float>(value->data.data());
    if (value->type == gguf::type_float64) return load<double>(value->data.data());
    return std::nullopt;
}

std::optional<bool> GgufFile::get_bool(std::string_view key) const {
    const GgufValue* value = find(key);
    if (value == nullptr || value->type != gguf::type_bool) return std::nullopt;
    return load<std::uint8_t>(value->data.data()) != 0;
}

std::optional<std::string_view> GgufFile::get_string(std::string_view key) const {
    const GgufValue* value = find(key);
    if (value == nullptr || value->type != gguf::type_string) return std::nullopt;
    return load_string(value->data.data());
}

std::optional<std::vector<std::string_view>> GgufFile::get_strings(std::string_view key) const {
    const GgufValue* value = find(key);
    if (value == nullptr || value->type != gguf::type_array || value->element_type != gguf::type_string) {
        return std::nullopt;
    }
    std::vector<std::string_view> strings(value->count);
    const std::byte* at = value->data.data();
    for (std::string_view& string : strings) {
        string = load_string(at);
        at += sizeof(std::uint64_t) + string.size();
    }
    return strings;
}

std::optional<std::vector<float>> GgufFile::get_floats(std::string_view key) const {
    const GgufValue* value = find(key);
    if (value == nullptr || value->type != gguf::type_array) return std::nullopt;
    std::vector<float> floats;
    if (value->element_type == gguf::type_float32) {
        floats.resize(value->count);
        if (value->count != 0) std::memcpy(floats.data(), value->data.data(), value->count * sizeof(float));
    } else if (value->element_type == gguf::type_float64) {
        floats.reserve(value->count);
        for (std::uint64_t i = 0; i < value->count; ++i) {
            floats.push_back(static_cast<float>(load<double>(value->data.data() + i * sizeof(double))));
        }
    } else {
        return std::nullopt;
    }
    return floats;
}

std::optional<std::vector<std::int64_t>> GgufFile::get_ints(std::string_view key) const {
    const GgufValue* value = find(key);
    if (value == nullptr || value->type != gguf::type_array) return std::nullopt;
    const std::uint32_t type = value->element_type;
    if (!gguf::is_integer(type) && type != gguf::type_bool) return std::nullopt;
    std::vector<std::int64_t> integers;
    integers.reserve(value->count);
    for (std::uint64_t i = 0; i < value->count; ++i) {
        const std::byte* at = value->data.data() + i * gguf::value_size(type);
        const Integer integer =
            type == gguf::type_bool ? Integer{load<std::uint8_t>(at) != 0, false} : load_integer(type, at);
        if (integer.huge) return std::nullopt;
        integers.push_back(integer.value);
    }
    return integers;
}

Error GgufFile::wrong_type(std::string_view key, std::string_view expected) const {
    const GgufValue* value = find(key);
    const std::string where = path().string() + ": the metadata key '" + printable(key) + "' ";
    if (value == nullptr) return invalid_argument(where + "is missing; the model cannot be used without it.");
    std::string found(gguf::value_type_name(value->type));
    if (value->type == gguf::type_array)
        found += " of " + std::string(gguf::value_type_name(value->element_type));
    return invalid_argument(where + "should be " + std::string(expected) + ", but is stored as " + found +
                            ".");
}

Result<std::uint64_t> GgufFile::require_uint(std::string_view key) const {
    if (const auto value = get_uint(key)) return *value;
    return wrong_type(key, "an integer that is not negative");
}

Result<double> GgufFile::require_float(std::string_view key) const {
    if (const auto value = get_float(key)) return *value;
    return wrong_type(key, "a float");
}

Result<std::string_view> GgufFile::require_string(std::string_view key) const {
    if (const auto value = get_string(key)) return *value;
    return wrong_type(key, "a string");
}

Result<std::uint64_t> GgufFile::uint_or(std::string_view key, std::uint64_t fallback) const {
    if (!has(key)) return fallback;
    return require_uint(key);
}

Result<double> GgufFile::float_or(std::string_view key, double fallback) const {
    if (!has(key)) return fallback;
    return require_float(key);
}

Result<bool> GgufFile::bool_or(std::string_view key, bool fallback) const {
    if (!has(key)) return fallback;
    if (const auto value = get_bool(key)) return *value;
    return wrong_type(key, "a bool");
}

Result<std::string_view> GgufFile::string_or(std::string_view key, std::string_view fallback) const {
    if (!has(key)) return fallback;
    return require_string(key);
}

const GgufTensor* GgufFile::find_tensor(std::string_view name) const {
    const auto found = tensor_index_.find(name);
    return found == tensor_index_.end() ? nullptr : &tensors_[found->second];
}

}  // namespace troupe
