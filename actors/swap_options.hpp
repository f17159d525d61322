// The tiers below a replica's KV pool.
#pragma once
#include <cstdint>
#include <string>

namespace troupe {

struct SwapOptions {
    std::uint32_t host_pages = 0;  // blocks of host memory
    std::uint32_t disk_pages = 0;  // blocks of a file in `directory`
    std::string directory;
    std::uint64_t page_bytes = 0;  // of a block, to guess what moving it takes until that has been measured

    bool operator==(const SwapOptions&) const = default;
};

}  // namespace troupe
