// Moves of KV blocks between the device's pool and what lies below it. Plain serializable values: the
// scheduler decides them, the memory manager carries them out beside the steps.
#pragma once
#include <cstdint>
#include <vector>

#include "core/ids.hpp"

namespace troupe {

// Where a block's KV can be, fastest first.
enum class Tier : std::uint8_t { device, host, disk };

using JobId = std::uint64_t;  // of moves that are ordered together; from 1, unique in a scheduler's life

struct BlockPlace {
    Tier tier = Tier::device;
    BlockId slot = 0;  // on the device a block of the pool, elsewhere a page of the tier

    bool operator==(const BlockPlace&) const = default;
};

struct BlockMove {
    BlockPlace from;
    BlockPlace to;

    bool operator==(const BlockMove&) const = default;
};

// Copies, in this order; the sources keep their bytes. Open moves never share a place.
struct MoveBlocks {
    Epoch epoch = 0;
    JobId job = 0;
    std::vector<BlockMove> moves;

    bool operator==(const MoveBlocks&) const = default;
};

// The first num_moved are done; if that is not all, the next one failed and those after it were not tried.
struct MoveDone {
    Epoch epoch = 0;
    JobId job = 0;
    std::uint32_t num_moved = 0;
    TimeUs us = 0;  // that they took together, for the choice between moving and computing again

    bool operator==(const MoveDone&) const = default;
};

}  // namespace troupe
