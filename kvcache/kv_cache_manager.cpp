#include "kvcache/kv_cache_manager.hpp"

#include <stdexcept>

namespace troupe {

KvCacheManager::KvCacheManager(KvCacheOptions options) : options_(options), pool_(options.num_blocks) {}

KvCacheManager::TableHandle KvCacheManager::create() {
    if (unused_.empty()) {
        unused_.push_back(static_cast<TableHandle>(tables_.size()));
        tables_.emplace_back();
    }
    const TableHandle handle = unused_.back();
    unused_.pop_back();
    tables_[handle].in_use = true;
    return handle;
}

KvCacheManager::TableHandle KvCacheManager::fork(TableHandle parent, std::uint64_t num_tokens) {
    const TableHandle child = create();
    const std::vector<BlockId>& blocks = tables_[parent].blocks;
    tables_[child].blocks.assign(blocks.begin(), blocks.begin() + blocks_for(num_tokens));
    tables_[child].num_tokens = num_tokens;
    tables_[child].last_use = tables_[parent].last_use;  // steps in flight may still write there
    for (BlockId block : tables_[child].blocks) pool_.share(block);
    return child;
}

void KvCacheManager::release(TableHandle table) {
    Table& released = tables_[table];
    // From the end, so that a table's first blocks, which others are likelier to share, are given out again
    // last.
    for (auto block = released.blocks.rbegin(); block != released.blocks.rend(); ++block) {
        pool_.drop(*block, released.last_use);
    }
    released.blocks.clear();
    released.num_tokens = 0;
    released.last_use = 0;
    released.in_use = false;
    unused_.push_back(table);
}

// The next token goes into the last block, and that is not this table's alone.
bool KvCacheManager::writes_to_shared(const Table& table) const {
    return table.num_tokens % options_.block_size != 0 && pool_.is_shared(table.blocks.back());
}

std::uint32_t KvCacheManager::blocks_needed(TableHandle table, std::uint32_t num_tokens) const {
    const Table& extended = tables_[table];
    if (num_tokens == 0) return 0;
    const std::uint32_t grown =
        blocks_for(extended.num_tokens + num_tokens) - blocks_for(extended.num_tokens);
    return grown + (writes_to_shared(extended) ? 1 : 0);
}

std::optional<Reservation> KvCacheManager::extend(TableHandle table, std::uint32_t num_tokens, StepId step) {
    const std::uint32_t needed = blocks_needed(table, num_tokens);
    if (needed > pool_.num_free()) return std::nullopt;
    Table& extended = tables_[table];
    extended.last_use = step;
    Reservation reservation;
    if (needed == 0) {
        extended.num_tokens += num_tokens;
        return reservation;
    }
    reservation.new_blocks.reserve(needed);
    if (writes_to_shared(extended)) {
        const BlockId shared = extended.blocks.back();
        extended.blocks.pop_back();
        reservation.num_replaced = 1;
        reservation.copy = BlockCopy{.from = shared, .to = pool_.take()};
        reservation.new_blocks.push_back(reservation.copy->to);
        pool_.drop(shared, step);  // the copy reads it in this step
    }
    while (reservation.new_blocks.size() < needed) reservation.new_blocks.push_back(pool_.take());
    extended.blocks.insert(extended.blocks.end(), reservation.new_blocks.begin(),
                           reservation.new_blocks.end());
    extended.num_tokens += num_tokens;
    return reservation;
}

void KvCacheManager::check_invariants() const {
    pool_.check_invariants();
    std::vector<std::uint32_t> references(pool_.num_blocks(), 0);
    for (const Table& table : tables_) {
        if (!table.in_use && !table.blocks.empty())
            throw std::logic_error("kv cache: a released table has blocks");
        if (table.blocks.size() != blocks_for(table.num_tokens)) {
            throw std::logic_error("kv cache: a table's blocks do not match its tokens");
        }
        for (BlockId block : table.blocks) ++references[static_cast<std::size_t>(block)];
    }
    for (std::size_t i = 0; i < references.size(); ++i) {
        if (references[i] != pool_.references(static_cast<BlockId>(i))) {
            throw std::logic_error("kv cache: a block's reference count is wrong");
        }
    }
}

}  // namespace troupe
