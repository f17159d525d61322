// The blocks of a pool: who is free, how often the others are referenced, and which wait for a step to end.
#pragma once
#include <cstdint>
#include <vector>

#include "core/ids.hpp"

namespace troupe {

// A block is in one of three states:
//
//   free --take--> held (references >= 1) --last drop--> free, if no step in flight uses it
//                                                    \-> retired --end_step of its last use--> free
//
// The free list is a stack, so what is given out depends only on the calls made. Not thread-safe.
class BlockPool {
  public:
    explicit BlockPool(std::uint32_t num_blocks);

    // Precondition: num_free() > 0. The block has one reference.
    BlockId take();

    // One reference more, of a held block.
    void share(BlockId block);

    // One reference less. `last_use` is the last step that the holder used it in (0: none).
    void drop(BlockId block, StepId last_use);

    // Steps up to this one have ended.
    void end_step(StepId step);

    bool is_shared(BlockId block) const { return blocks_[index(block)].references > 1; }
    std::uint32_t references(BlockId block) const { return blocks_[index(block)].references; }
    std::uint32_t num_blocks() const { return static_cast<std::uint32_t>(blocks_.size()); }
    std::uint32_t num_free() const { return static_cast<std::uint32_t>(free_.size()); }
    std::uint32_t num_retired() const { return static_cast<std::uint32_t>(retired_.size()); }

    // Throws std::logic_error if the lists and the counts contradict each other.
    void check_invariants() const;

  private:
    struct Block {
        std::uint32_t references = 0;
        StepId last_use = 0;  // by those that dropped it
    };
    static std::size_t index(BlockId block) { return static_cast<std::size_t>(block); }

    std::vector<Block> blocks_;
    std::vector<BlockId> free_;     // the last one is taken first
    std::vector<BlockId> retired_;  // no references, but used by a step in flight; in order of retirement
    StepId ended_ = 0;              // last step that ended
};

}  // namespace troupe
