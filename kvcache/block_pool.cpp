#include "kvcache/block_pool.hpp"

#include <algorithm>
#include <stdexcept>

namespace troupe {

BlockPool::BlockPool(std::uint32_t num_blocks) : blocks_(num_blocks) {
    free_.reserve(num_blocks);
    for (std::uint32_t i = num_blocks; i > 0; --i) free_.push_back(static_cast<BlockId>(i - 1));
}

BlockId BlockPool::take() {
    const BlockId block = free_.back();
    free_.pop_back();
    blocks_[index(block)] = {.references = 1, .last_use = 0};
    return block;
}

void BlockPool::share(BlockId block) { ++blocks_[index(block)].references; }

void BlockPool::drop(BlockId block, StepId last_use) {
    Block& state = blocks_[index(block)];
    state.last_use = std::max(state.last_use, last_use);
    if (--state.references > 0) return;
    (state.last_use > ended_ ? retired_ : free_).push_back(block);
}

void BlockPool::end_step(StepId step) {
    ended_ = std::max(ended_, step);
    std::erase_if(retired_, [this](BlockId block) {
        if (blocks_[index(block)].last_use > ended_) return false;
        free_.push_back(block);
        return true;
    });
}

void BlockPool::check_invariants() const {
    std::vector<bool> seen(blocks_.size(), false);
    auto check = [&](BlockId block, bool retired) {
        if (block < 0 || index(block) >= blocks_.size())
            throw std::logic_error("block pool: unknown block listed");
        if (seen[index(block)]) throw std::logic_error("block pool: a block is listed twice");
        seen[index(block)] = true;
        const Block& state = blocks_[index(block)];
        if (state.references != 0) throw std::logic_error("block pool: a listed block is referenced");
        if (retired != (state.last_use > ended_))
            throw std::logic_error("block pool: a block is in the wrong list");
    };
    for (BlockId block : free_) check(block, false);
    for (BlockId block : retired_) check(block, true);
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
        if (!seen[i] && blocks_[i].references == 0) throw std::logic_error("block pool: a block has leaked");
    }
}

}  // namespace troupe
