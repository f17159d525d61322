// A file mapped read-only into memory. Shared by all who point into it; immutable, so any thread may read.
// A file that another program shortens while it is mapped faults on access: model files must not be edited in
// place.
#pragma once
#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "core/status.hpp"

namespace troupe {

class MappedFile {
  public:
    // Fails on what is missing, unreadable, empty or not a regular file.
    static Result<std::shared_ptr<const MappedFile>> open(const std::filesystem::path& path);

    ~MappedFile();
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;

    std::span<const std::byte> bytes() const { return {data_, size_}; }
    std::size_t size() const { return size_; }
    const std::filesystem::path& path() const { return path_; }

  private:
    MappedFile(std::filesystem::path path, const std::byte* data, std::size_t size)
        : path_(std::move(path)), data_(data), size_(size) {}

    std::filesystem::path path_;
    const std::byte* data_;
    std::size_t size_;
};

}  // namespace troupe
