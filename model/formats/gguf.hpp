// GGUF, llama.cpp's container of metadata and tensors (versions 2 and 3, little-endian;
// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md). Everything is checked on open, so that what the
// accessors return lies inside the mapped file. Immutable after open; any thread may read.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/status.hpp"
#include "model/formats/mapped_file.hpp"
#include "model/tensor.hpp"

namespace troupe {

// A value as it lies in the file, for those that copy it.
struct GgufValue {
    std::uint32_t type = 0;
    std::uint32_t element_type = 0;   // of an array
    std::uint64_t count = 0;          // of an array
    std::span<const std::byte> data;  // of the value, or of an array's elements
};

struct GgufTensor {
    std::string_view name;            // points into the file
    std::uint32_t ggml_type = 0;      // as stored
    std::string_view type_name;       // "F32", "Q4_K", ...
    std::optional<DType> dtype;       // empty: a type of ggml that we do not compute with
    std::vector<std::uint64_t> dims;  // 1 to 4, fastest first: a matrix is {columns, rows}
    const std::byte* data = nullptr;
    std::size_t bytes = 0;
};

class GgufFile {
  public:
    // Fails on anything truncated, overlapping, duplicate, oversized or of an unknown type, naming it.
    static Result<GgufFile> open(const std::filesystem::path& path);

    bool has(std::string_view key) const { return metadata_.count(key) != 0; }
    const std::map<std::string_view, GgufValue>& metadata() const { return metadata_; }

    // Empty if the key is absent or its value has another type. Integers of any width are one type, a
    // negative one is no uint; floats of both widths are one type. Strings and views point into the file.
    std::optional<std::uint64_t> get_uint(std::string_view key) const;
    std::optional<double> get_float(std::string_view key) const;
    std::optional<bool> get_bool(std::string_view key) const;
    std::optional<std::string_view> get_string(std::string_view key) const;
    std::optional<std::vector<std::string_view>> get_strings(std::string_view key) const;
    std::optional<std::vector<float>> get_floats(std::string_view key) const;
    std::optional<std::vector<std::int64_t>> get_ints(
        std::string_view key) const;  // booleans count as 0 and 1

    // The same, but an absent key or one of another type is an error that names the file, the key and both
    // types.
    Result<std::uint64_t> require_uint(std::string_view key) const;
    Result<double> require_float(std::string_view key) const;
    Result<std::string_view> require_string(std::string_view key) const;

    // The fallback if the key is absent, an error if it has another type.
    Result<std::uint64_t> uint_or(std::string_view key, std::uint64_t fallback) const;
    Result<double> float_or(std::string_view key, double fallback) const;
    Result<bool> bool_or(std::string_view key, bool fallback) const;
    Result<std::string_view> string_or(std::string_view key, std::string_view fallback) const;

    const GgufTensor* find_tensor(std::string_view name) const;  // nullptr: there is none
    const std::vector<GgufTensor>& tensors() const { return tensors_; }

    // Keeps everything above alive.
    const std::shared_ptr<const MappedFile>& storage() const { return storage_; }
    const std::filesystem::path& path() const { return storage_->path(); }

  private:
    friend class GgufParser;

    const GgufValue* find(std::string_view key) const;
    Error wrong_type(std::string_view key, std::string_view expected) const;

    std::shared_ptr<const MappedFile> storage_;
    std::map<std::string_view, GgufValue> metadata_;
    std::vector<GgufTensor> tensors_;
    std::unordered_map<std::string_view, std::size_t> tensor_index_;
};

}  // namespace troupe
