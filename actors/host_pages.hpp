// KV blocks in host memory: the tier below the device's pool. Owned by the memory manager.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "actors/page_checksum.hpp"

namespace troupe {

class HostPages {
  public:
    HostPages() = default;  // no page at all

    // Memory is taken from the system when a page is first used. Throws std::bad_alloc.
    HostPages(std::size_t page_bytes, std::uint32_t num_pages)
        : page_bytes_(page_bytes),
          checksums_(num_pages),
          bytes_(std::make_unique_for_overwrite<std::byte[]>(page_bytes * num_pages)) {}

    bool has(std::int64_t page) const {
        return page >= 0 && page < static_cast<std::int64_t>(checksums_.size());
    }

    // Where its bytes are to be put; seal() then says that they are there. Precondition: has(page).
    std::span<std::byte> open(std::int64_t page) { return {bytes_.get() + offset(page), page_bytes_}; }
    void seal(std::int64_t page) { checksums_[static_cast<std::size_t>(page)] = checksum(page); }

    // A sealed page's bytes; empty if they are not what they were. Precondition: has(page).
    std::span<const std::byte> read(std::int64_t page) const {
        if (checksum(page) != checksums_[static_cast<std::size_t>(page)]) return {};
        return {bytes_.get() + offset(page), page_bytes_};
    }

  private:
    std::size_t offset(std::int64_t page) const { return static_cast<std::size_t>(page) * page_bytes_; }
    std::uint64_t checksum(std::int64_t page) const {
        return page_checksum({bytes_.get() + offset(page), page_bytes_}, static_cast<std::uint64_t>(page));
    }

    std::size_t page_bytes_ = 0;
    std::vector<std::uint64_t> checksums_;
    std::unique_ptr<std::byte[]> bytes_;
};

}  // namespace troupe
