// A memory manager that only takes time (the real one: actors/memory_manager_actor.hpp). Jobs within host
// memory and those that need the disk run side by side, each kind one after another; a block takes what the
// options say, which are true here and not a first guess. Nothing fails.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "core/block_move.hpp"

namespace troupe {

class VirtualMover {
  public:
    VirtualMover(double host_us_per_block, double disk_us_per_block)
        : host_us_(host_us_per_block), disk_us_(disk_us_per_block) {}

    void begin(TimeUs now, const MoveBlocks& moves) {
        double us = 0;
        bool on_disk = false;
        for (const BlockMove& move : moves.moves) {
            const bool disk = move.from.tier == Tier::disk || move.to.tier == Tier::disk;
            us += disk ? disk_us_ : host_us_;
            on_disk = on_disk || disk;
        }
        TimeUs& free = on_disk ? disk_free_ : host_free_;
        const TimeUs took = std::llround(us);
        free = std::max(free, now) + std::max<TimeUs>(took, 1);
        open_.emplace(free,
                      MoveDone{moves.epoch, moves.job, static_cast<std::uint32_t>(moves.moves.size()), took});
    }
    TimeUs next_end() const {
        return open_.empty() ? std::numeric_limits<TimeUs>::max() : open_.begin()->first;
    }
    // The job that ends next. Precondition: there is one.
    MoveDone take() {
        const MoveDone done = open_.begin()->second;
        open_.erase(open_.begin());
        return done;
    }

  private:
    double host_us_, disk_us_;
    TimeUs host_free_ = 0, disk_free_ = 0;  // when their last job ends
    std::multimap<TimeUs, MoveDone> open_;  // by their ends
};

}  // namespace troupe
