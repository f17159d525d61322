// The swap file behind an actor, so that a disk that is slow, or hangs, keeps nobody but this thread.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include "actors/messages.hpp"

namespace troupe {

struct DiskOptions {
    std::string directory;
    std::size_t page_bytes = 0;
    std::uint32_t num_pages = 0;
};

// Detached. Transfers are done in the order in which they come; if no file can be made, each answers why.
DiskActor::behavior_type disk(DiskActor::pointer self, const DiskOptions& options);

}  // namespace troupe
