// A GGUF file that is to be written: its head, and where the rows of each tensor come from.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/status.hpp"
#include "model/formats/gguf_writer.hpp"
#include "model/tensor.hpp"

namespace troupe {

struct PlannedTensor {
    std::string name;
    std::vector<std::uint64_t> dims;  // fastest first
    std::uint32_t ggml_type = 0;
    std::vector<Tensor> parts;            // one below the other, all of this type()
    std::span<const std::byte> as_it_is;  // or bytes to copy, if there are no parts
    std::uint64_t bytes() const;
};

struct GgufPlan {
    GgufHead head;  // metadata only: write_gguf() describes the tensors
    std::uint64_t alignment = 32;
    std::vector<PlannedTensor> tensors;
    std::vector<std::string> notes;  // for the user: what became something else than was asked for
    std::vector<std::shared_ptr<const void>> storage;
    std::vector<std::span<const std::byte>> mapped;  // of the files that are read
};

// Shares out calls of the body, for every index below `count`, over threads; returns when all are done.
using ForAll = std::function<void(std::size_t count, const std::function<void(std::size_t index)>& body)>;
// After each tensor: bytes done of all.
using WriteProgress = std::function<void(std::uint64_t done, std::uint64_t total)>;

// Holds some megabytes of rows at a time, whatever the model's size. `check`, if there is one, reads the
// whole file before it gets its name; a failure leaves nothing behind, and what was at `path`.
Status write_gguf(const GgufPlan& plan, const std::filesystem::path& path, const ForAll& for_all,
                  const WriteProgress& progress = {},
                  const std::function<Status(const std::filesystem::path& written)>& check = {});

// A model's metadata about how it is quantized.
void set_file_type(GgufHead& head, DType type);

}  // namespace troupe
