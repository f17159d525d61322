// safetensors, Hugging Face's container of tensors (https://github.com/huggingface/safetensors#format): eight
// bytes of header length, a JSON header, the data. One file, or shards named by model.safetensors.index.json.
// Everything is checked on open. Immutable after open; any thread may read.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.hpp"
#include "model/formats/mapped_file.hpp"
#include "model/tensor.hpp"

namespace troupe {

struct SafeTensor {
    std::optional<DType> dtype;        // f32, f16 or bf16; empty: bytes (U8), as MXFP4 models hold
    std::vector<std::uint64_t> shape;  // slowest first: a matrix is {rows, columns}; empty: a scalar
    const std::byte* data = nullptr;   // not necessarily aligned to the element
    std::size_t bytes = 0;
};

class SafetensorsFile {
  public:
    // One file. Fails on a header that is too long, malformed or lies about types, shapes and offsets, naming
    // it.
    static Result<SafetensorsFile> open(const std::filesystem::path& path);

    // model.safetensors of a model directory, else the shards of model.safetensors.index.json, as one.
    static Result<SafetensorsFile> open_directory(const std::filesystem::path& directory);

    const SafeTensor* find_tensor(std::string_view name) const;  // nullptr: there is none
    const std::map<std::string, SafeTensor, std::less<>>& tensors() const { return tensors_; }

    // The mapped files, which keep the tensors' bytes alive.
    const std::vector<std::shared_ptr<const MappedFile>>& storage() const { return storage_; }

  private:
    std::map<std::string, SafeTensor, std::less<>> tensors_;
    std::vector<std::shared_ptr<const MappedFile>> storage_;
};

}  // namespace troupe
