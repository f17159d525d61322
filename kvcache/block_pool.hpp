// The blocks of a pool: who is free, how often the others are referenced, and which wait for a step to end or
// for somebody who wants what is in them.
#pragma once
#include <cstdint>
#include <vector>

#include "core/ids.hpp"

namespace troupe {

// A block is in one of four states:
//
//   free --take--> held (references >= 1) --last drop--> free, or idle if it is kept for what is in it;
//                   ^                                \-> retired, if a step in flight uses it, until
//                   |                                    end_step of its last use; then free or idle
//                   +--share-- idle, retired
//
// The free list is a stack, idle blocks are in the order in which they became it: what is given out depends
// only on the calls made. Not thread-safe.
class BlockPool {
  public:
    explicit BlockPool(std::uint32_t num_blocks);

    // Precondition: num_free() > 0. The block has one reference and is not kept.
    BlockId take();

    // One reference more, of a block that is not free.
    void share(BlockId block);

    // One reference less. `last_use` is the last step that the holder used it in (0: none).
    void drop(BlockId block, StepId last_use);

    // Without references it becomes idle, not free. Precondition: it is held.
    void keep(BlockId block) { blocks_[index(block)].kept = true; }
    // An idle one becomes free.
    void unkeep(BlockId block);

    // Steps up to this one have ended.
    void end_step(StepId step);

    bool is_shared(BlockId block) const { return blocks_[index(block)].references > 1; }
    bool is_kept(BlockId block) const { return blocks_[index(block)].kept; }
    bool is_idle(BlockId block) const { return is_idle(blocks_[index(block)]); }
    std::uint32_t references(BlockId block) const { return blocks_[index(block)].references; }
    // The one that has been idle for longest. Precondition: num_idle() > 0.
    BlockId oldest_idle() const { return oldest_; }
    // Smaller for blocks that became idle earlier.
    std::uint64_t idle_since(BlockId block) const { return blocks_[index(block)].idle_since; }

    std::uint32_t num_blocks() const { return static_cast<std::uint32_t>(blocks_.size()); }
    std::uint32_t num_free() const { return static_cast<std::uint32_t>(free_.size()); }
    std::uint32_t num_idle() const { return num_idle_; }
    std::uint32_t num_retired() const { return num_retired_; }
    // Goes up whenever a kept block gets its first reference, loses its last or stops being kept without any.
    std::uint64_t changes() const { return changes_; }

    // Throws std::logic_error if the lists and the counts contradict each other.
    void check_invariants() const;

  private:
    static constexpr BlockId none = -1;
    struct Block {
        std::uint32_t references = 0;
        bool kept = false;
        StepId last_use = 0;                 // by those that dropped it
        std::uint64_t retired_as = 0;        // its last entry's number in retired_
        std::uint64_t idle_since = 0;        // by a counter of our own
        BlockId older = none, newer = none;  // while idle
    };
    static std::size_t index(BlockId block) { return static_cast<std::size_t>(block); }
    bool is_retired(const Block& block) const { return block.references == 0 && block.last_use > ended_; }
    bool is_idle(const Block& block) const {
        return block.references == 0 && block.kept && !is_retired(block);
    }
    void settle(BlockId block);
    void unlink(BlockId block);

    std::vector<Block> blocks_;
    std::vector<BlockId> free_;  // the last one is taken first
    struct Retired {
        BlockId block;
        std::uint64_t number;
    };
    std::vector<Retired> retired_;  // in order of retirement; void for blocks that were shared again
    BlockId oldest_ = none, newest_ = none;
    std::uint32_t num_idle_ = 0;
    std::uint32_t num_retired_ = 0;
    std::uint64_t changes_ = 1;
    std::uint64_t last_retired_ = 0;
    std::uint64_t last_idle_ = 0;
    StepId ended_ = 0;  // last step that ended
};

}  // namespace troupe
