#include "kvcache/block_pool.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace troupe {

BlockPool::BlockPool(std::uint32_t num_blocks) : blocks_(num_blocks) {
    free_.reserve(num_blocks);
    for (std::uint32_t i = num_blocks; i > 0; --i) free_.push_back(static_cast<BlockId>(i - 1));
}

BlockId BlockPool::take() {
    const BlockId block = free_.back();
    free_.pop_back();
    Block& state = blocks_[index(block)];
    state.references = 1;
    state.last_use = 0;
    return block;
}

void BlockPool::share(BlockId block) {
    Block& state = blocks_[index(block)];
    if (state.references == 0) {
        if (is_retired(state)) {
            --num_retired_;
        } else {
            unlink(block);
        }
        if (state.kept) ++changes_;
    }
    ++state.references;
}

void BlockPool::drop(BlockId block, StepId last_use) {
    Block& state = blocks_[index(block)];
    state.last_use = std::max(state.last_use, last_use);
    if (--state.references > 0) return;
    if (state.kept) ++changes_;
    if (!is_retired(state)) return settle(block);
    ++num_retired_;
    state.retired_as = ++last_retired_;
    retired_.push_back({block, state.retired_as});
}

// Nobody references it and no step uses it.
void BlockPool::settle(BlockId block) {
    Block& state = blocks_[index(block)];
    if (!state.kept) return free_.push_back(block);
    state.idle_since = ++last_idle_;
    state.older = newest_;
    state.newer = none;
    (newest_ == none ? oldest_ : blocks_[index(newest_)].newer) = block;
    newest_ = block;
    ++num_idle_;
}

void BlockPool::unlink(BlockId block) {
    const Block& state = blocks_[index(block)];
    (state.older == none ? oldest_ : blocks_[index(state.older)].newer) = state.newer;
    (state.newer == none ? newest_ : blocks_[index(state.newer)].older) = state.older;
    --num_idle_;
}

void BlockPool::unkeep(BlockId block) {
    Block& state = blocks_[index(block)];
    if (is_idle(state)) {
        unlink(block);
        free_.push_back(block);
        ++changes_;
    }
    state.kept = false;
}

void BlockPool::end_step(StepId step) {
    ended_ = std::max(ended_, step);
    std::erase_if(retired_, [this](const Retired& entry) {
        const auto [block, number] = entry;
        const Block& state = blocks_[index(block)];
        if (state.references > 0 || state.retired_as != number) return true;  // was shared again
        if (is_retired(state)) return false;
        --num_retired_;
        settle(block);
        return true;
    });
}

void BlockPool::check_invariants() const {
    const auto require = [](bool holds, const char* what) {
        if (!holds) throw std::logic_error(std::string("block pool: ") + what);
    };
    std::vector<bool> seen(blocks_.size(), false);
    const auto see = [&](BlockId block) {
        require(block >= 0 && index(block) < blocks_.size(), "unknown block listed");
        require(!seen[index(block)], "a block is listed twice");
        seen[index(block)] = true;
        const Block& state = blocks_[index(block)];
        require(state.references == 0, "a listed block is referenced");
        return state;
    };
    for (BlockId block : free_) {
        const Block& state = see(block);
        require(!state.kept && !is_retired(state), "a free block is kept or in use");
    }
    std::uint32_t retired = 0;
    for (const auto& [block, number] : retired_) {
        const Block& state = blocks_[index(block)];
        if (state.references > 0 || state.retired_as != number) continue;
        require(is_retired(see(block)), "a block waits for a step that has ended");
        ++retired;
    }
    std::uint32_t idle = 0;
    std::uint64_t since = 0;
    for (BlockId block = oldest_; block != none; block = blocks_[index(block)].newer) {
        const Block& state = see(block);
        require(is_idle(state), "a block in use is listed as idle");
        require(state.idle_since > since, "idle blocks are out of order");
        since = state.idle_since;
        ++idle;
    }
    require(retired == num_retired_ && idle == num_idle_, "blocks are not counted right");
    for (std::size_t i = 0; i < blocks_.size(); ++i)
        require(seen[i] || blocks_[i].references > 0, "a block has leaked");
}

}  // namespace troupe
