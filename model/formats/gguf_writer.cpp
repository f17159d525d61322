#include "model/formats/gguf_writer.hpp"

#include "model/formats/gguf_types.hpp"

namespace troupe {
namespace {

template <class T>
void put(std::string& to, T value) {
    to.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void put_string(std::string& to, std::string_view text) {
    put(to, std::uint64_t{text.size()});
    to += text;
}

template <class T>
std::string scalar(gguf::ValueType type, T value) {
    std::string bytes;
    put(bytes, static_cast<std::uint32_t>(type));
    put(bytes, value);
    return bytes;
}

std::string array_head(std::uint32_t element_type, std::uint64_t count) {
    std::string bytes;
    put(bytes, static_cast<std::uint32_t>(gguf::type_array));
    put(bytes, element_type);
    put(bytes, count);
    return bytes;
}

template <class T>
std::string array(gguf::ValueType type, std::span<const T> values) {
    std::string bytes = array_head(type, values.size());
    bytes.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
    return bytes;
}

}  // namespace

void GgufHead::set(const std::string& key, std::uint32_t value) {
    metadata_[key] = scalar(gguf::type_uint32, value);
}

void GgufHead::set(const std::string& key, float value) {
    metadata_[key] = scalar(gguf::type_float32, value);
}

void GgufHead::set(const std::string& key, bool value) {
    metadata_[key] = scalar(gguf::type_bool, static_cast<std::uint8_t>(value ? 1 : 0));
}

void GgufHead::set(const std::string& key, std::string_view value) {
    std::string bytes;
    put(bytes, static_cast<std::uint32_t>(gguf::type_string));
    put_string(bytes, value);
    metadata_[key] = std::move(bytes);
}

void GgufHead::set(const std::string& key, std::span<const std::string_view> values) {
    std::string bytes = array_head(gguf::type_string, values.size());
    for (const std::string_view value : values) put_string(bytes, value);
    metadata_[key] = std::move(bytes);
}

void GgufHead::set(const std::string& key, std::span<const std::int32_t> values) {
    metadata_[key] = array(gguf::type_int32, values);
}

void GgufHead::set(const std::string& key, std::span<const float> values) {
    metadata_[key] = array(gguf::type_float32, values);
}

void GgufHead::set(const std::string& key, const std::vector<bool>& values) {
    std::string bytes = array_head(gguf::type_bool, values.size());
    for (const bool value : values) put(bytes, static_cast<std::uint8_t>(value ? 1 : 0));
    metadata_[key] = std::move(bytes);
}

void GgufHead::set(const std::string& key, const GgufValue& value) {
    std::string bytes;
    if (value.type == gguf::type_array) {
        bytes = array_head(value.element_type, value.count);
    } else {
        put(bytes, value.type);
    }
    bytes.append(reinterpret_cast<const char*>(value.data.data()), value.data.size());
    metadata_[key] = std::move(bytes);
}

void GgufHead::add_tensor(std::string_view name, std::span<const std::uint64_t> dims, std::uint32_t ggml_type,
                          std::uint64_t bytes) {
    tensors_.push_back({std::string(name), {dims.begin(), dims.end()}, ggml_type, bytes});
}

std::string GgufHead::bytes(std::uint64_t alignment) const {
    std::string out("GGUF");
    put(out, std::uint32_t{3});
    put(out, std::uint64_t{tensors_.size()});
    put(out, std::uint64_t{metadata_.size()});
    for (const auto& [key, value] : metadata_) {
        put_string(out, key);
        out += value;
    }
    std::uint64_t offset = 0;
    for (const Description& tensor : tensors_) {
        put_string(out, tensor.name);
        put(out, static_cast<std::uint32_t>(tensor.dims.size()));
        for (const std::uint64_t size : tensor.dims) put(out, size);
        put(out, tensor.type);
        put(out, offset);
        offset += tensor.bytes + gguf_padding(tensor.bytes, alignment);
    }
    out.resize(out.size() + gguf_padding(out.size(), alignment));
    return out;
}

}  // namespace troupe
