// KV blocks in a file: the lowest tier. The file has no name (or none any more), so nobody else opens it and
// nothing of it is left when the process is gone, however it went. Owned by one thread.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/status.hpp"

namespace troupe {

class SwapFile {
  public:
    // In this directory. It grows as pages are written, so that a disk that is too small holds what it can.
    static Result<SwapFile> create(const std::string& directory, std::size_t page_bytes,
                                   std::uint32_t num_pages);

    SwapFile(SwapFile&& other) noexcept;
    SwapFile& operator=(SwapFile&&) = delete;
    ~SwapFile();

    // Whole pages of [page_bytes]. May take as long as the disk takes. Errors: the page does not exist, the
    // disk is full or fails (ErrorCode::unavailable), or what is read is not what was written last
    // (ErrorCode::internal, tag corrupted_page; the bytes are then worthless).
    Status write(std::int64_t page, std::span<const std::byte> bytes);
    Status read(std::int64_t page, std::span<std::byte> bytes);

  private:
    SwapFile(int file, std::string directory, std::size_t page_bytes, std::uint32_t num_pages);
    Status check(std::int64_t page, std::size_t bytes) const;
    Error failure(const char* doing, const std::string& why) const;

    struct Page {
        std::uint64_t checksum = 0;
        bool written = false;
    };
    int file_;
    std::string directory_;
    std::size_t page_bytes_;
    std::vector<Page> pages_;
};

}  // namespace troupe
