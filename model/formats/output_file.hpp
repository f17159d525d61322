// A file that appears under its name only when it is whole: written beside it, then renamed. One thread.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "core/status.hpp"

namespace troupe {

class OutputFile {
  public:
    // NAME.partial beside `path`; fails if that cannot be written.
    static Result<OutputFile> create(const std::filesystem::path& path);

    ~OutputFile();  // not finished: removed
    OutputFile(OutputFile&& other) noexcept;
    OutputFile& operator=(OutputFile&&) = delete;

    Status write(std::span<const std::byte> bytes);
    std::uint64_t size() const { return size_; }
    const std::filesystem::path& temporary() const { return temporary_; }

    // On disk, and under its name, in place of what was there.
    Status finish();

  private:
    OutputFile(std::filesystem::path path, std::filesystem::path temporary, int descriptor);
    Error failed(const char* what, int number) const;

    std::filesystem::path path_, temporary_;
    int descriptor_;
    std::uint64_t size_ = 0;
};

}  // namespace troupe
