#include "kvcache/kv_cache_manager.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace troupe {

KvCacheManager::KvCacheManager(KvCacheOptions options)
    : options_(options),
      pool_(options.num_blocks),
      tree_(options.block_size, options.num_blocks, options.hash) {}

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

// What follows from the tree's shape: an ancestor of a block that somebody has is had by him, too.
std::uint32_t KvCacheManager::num_unreferenced(PrefixMatch& match) const {
    if (match.num_blocks == 0) return 0;
    if (match.counted == pool_.changes()) return match.num_unreferenced;
    match.counted = pool_.changes();
    match.num_unreferenced = 0;
    for (Node node = match.node; node != PrefixTree::none; node = tree_.parent(node)) {
        if (pool_.references(tree_.block(node)) > 0) break;
        ++match.num_unreferenced;
    }
    return match.num_unreferenced;
}

std::uint32_t KvCacheManager::num_idle(const PrefixMatch& match) const {
    std::uint32_t idle = 0;
    for (Node node = match.num_blocks == 0 ? PrefixTree::none : match.node; node != PrefixTree::none;
         node = tree_.parent(node)) {
        if (pool_.references(tree_.block(node)) > 0) break;
        if (pool_.is_idle(tree_.block(node))) ++idle;
    }
    return idle;
}

PrefixMatch KvCacheManager::match_of(TableHandle table, std::string_view salt,
                                     std::span<const TokenId> tokens) const {
    const std::vector<Node>& chain = tables_[table].chain;
    const Node last = chain.empty() ? PrefixTree::none : chain.back();
    return tree_.match_at(last, static_cast<std::uint32_t>(chain.size()), salt, tokens);
}

bool KvCacheManager::follows(TableHandle table, const PrefixMatch& match) const {
    const std::vector<Node>& chain = tables_[table].chain;
    return match.num_blocks == 0 ||
           (chain.size() >= match.num_blocks && chain[match.num_blocks - 1] == match.node);
}

KvCacheManager::TableHandle KvCacheManager::take(const PrefixMatch& match, const std::optional<Tail>& tail) {
    const TableHandle handle = create();
    Table& table = tables_[handle];
    table.chain.resize(match.num_blocks);
    Node node = match.node;
    for (std::size_t i = match.num_blocks; i-- > 0; node = tree_.parent(node)) table.chain[i] = node;
    for (Node found : table.chain) table.blocks.push_back(tree_.block(found));
    table.num_tokens = std::uint64_t{match.num_blocks} * options_.block_size;
    if (tail) {
        table.blocks.push_back(tables_[tail->table].blocks[match.num_blocks]);
        table.num_tokens += tail->num_tokens;
        table.last_use = tables_[tail->table].last_use;  // steps in flight may write behind the tail
    }
    for (BlockId block : table.blocks) pool_.share(block);
    return handle;
}

void KvCacheManager::completed(TableHandle handle, std::string_view salt, std::span<const TokenId> tokens) {
    Table& table = tables_[handle];
    while ((table.chain.size() + 1) * options_.block_size <= tokens.size()) {
        const std::size_t begin = table.chain.size() * options_.block_size;
        if (!remember(table, salt, tokens.subspan(begin, options_.block_size))) return;
    }
}

// The block after the table's chain holds these tokens. False if another table has computed the same: the
// tree knows the other one's block. If nobody has that any more, nor does a step use it, this one takes its
// place.
bool KvCacheManager::remember(Table& table, std::string_view salt, std::span<const TokenId> tokens) {
    const BlockId block = table.blocks[table.chain.size()];
    const Node parent = table.chain.empty() ? PrefixTree::none : table.chain.back();
    const Node node = tree_.find_or_insert(parent, salt, tokens, block);
    if (const BlockId other = tree_.block(node); other != block) {
        if (!pool_.is_idle(other)) return false;
        tree_.rebind(node, block);
        pool_.unkeep(other);
    }
    pool_.keep(block);
    table.chain.push_back(node);
    return true;
}

// Others share its first blocks: whoever has a block of the tree has its ancestors'. (The tail that one takes
// with it is copied by the next extend().) How many changes little from one time to the next.
std::uint32_t KvCacheManager::num_unshared(TableHandle handle) {
    Table& table = tables_[handle];
    const auto size = static_cast<std::uint32_t>(table.blocks.size());
    std::uint32_t& shared = table.num_shared;
    shared = std::min(shared, size);
    while (shared > 0 && !pool_.is_shared(table.blocks[shared - 1])) --shared;
    while (shared < size && pool_.is_shared(table.blocks[shared])) ++shared;
    return size - shared;
}

void KvCacheManager::forget_all() {
    tree_.clear();
    for (std::uint32_t i = 0; i < pool_.num_blocks(); ++i) pool_.unkeep(static_cast<BlockId>(i));
}

void KvCacheManager::release(TableHandle table) {
    Table& released = tables_[table];
    // From the end, so that a table's first blocks, which others are likelier to share, are given out again
    // last.
    for (auto block = released.blocks.rbegin(); block != released.blocks.rend(); ++block) {
        pool_.drop(*block, released.last_use);
    }
    released.blocks.clear();
    released.chain.clear();
    released.num_tokens = released.num_shared = 0;
    released.last_use = 0;
    released.in_use = false;
    unused_.push_back(table);
}

// The next token goes into the last block, and others have that, or may find it.
bool KvCacheManager::writes_to_shared(const Table& table) const {
    return table.num_tokens % options_.block_size != 0 &&
           (pool_.is_shared(table.blocks.back()) || pool_.is_kept(table.blocks.back()));
}

// Precondition: num_free() > 0.
BlockId KvCacheManager::take_block() {
    if (pool_.num_free() == 0) {
        const BlockId idle = pool_.oldest_idle();
        tree_.remove(tree_.node_of(idle));
        pool_.unkeep(idle);
    }
    return pool_.take();
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
    if (needed > num_free()) return std::nullopt;
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
        reservation.copy = BlockCopy{.from = shared, .to = take_block()};
        reservation.new_blocks.push_back(reservation.copy->to);
        pool_.drop(shared, step);  // the copy reads it in this step
    }
    while (reservation.new_blocks.size() < needed) reservation.new_blocks.push_back(take_block());
    extended.blocks.insert(extended.blocks.end(), reservation.new_blocks.begin(),
                           reservation.new_blocks.end());
    extended.num_tokens += num_tokens;
    return reservation;
}

void KvCacheManager::check_invariants() const {
    pool_.check_invariants();
    tree_.check_invariants();
    const auto require = [](bool holds, const char* what) {
        if (!holds) throw std::logic_error(std::string("kv cache: ") + what);
    };
    std::vector<std::uint32_t> references(pool_.num_blocks(), 0);
    std::vector<std::uint32_t> in_chains(pool_.num_blocks(), 0);
    for (const Table& table : tables_) {
        require(table.in_use || table.blocks.empty(), "a released table has blocks");
        require(table.blocks.size() == blocks_for(table.num_tokens),
                "a table's blocks do not match its tokens");
        require(table.chain.size() <= table.blocks.size(), "a table remembers more than it has");
        for (BlockId block : table.blocks) ++references[static_cast<std::size_t>(block)];
        require(std::is_sorted(
                    table.blocks.begin(), table.blocks.end(),
                    [this](BlockId a, BlockId b) { return pool_.is_shared(a) && !pool_.is_shared(b); }),
                "a table shares a block and not those before it");
        Node parent = PrefixTree::none;
        for (std::size_t i = 0; i < table.chain.size(); ++i) {
            require(tree_.block(table.chain[i]) == table.blocks[i], "a table's chain is not of its blocks");
            require(tree_.parent(table.chain[i]) == parent, "a table's chain is none");
            parent = table.chain[i];
            ++in_chains[static_cast<std::size_t>(table.blocks[i])];
        }
    }
    std::uint32_t kept = 0;
    for (BlockId block = 0; block < static_cast<BlockId>(pool_.num_blocks()); ++block) {
        const auto i = static_cast<std::size_t>(block);
        require(references[i] == pool_.references(block), "a block's reference count is wrong");
        const Node node = tree_.node_of(block);
        require(pool_.is_kept(block) == (node != PrefixTree::none),
                "the tree and the pool keep different blocks");
        if (node == PrefixTree::none) continue;
        ++kept;
        const Node parent = tree_.parent(node);
        if (parent == PrefixTree::none) continue;
        const BlockId before = tree_.block(parent);
        require(in_chains[static_cast<std::size_t>(before)] >= in_chains[i],
                "a table has a block without those before it");
        require(!pool_.is_idle(block) || !pool_.is_idle(before) ||
                    pool_.idle_since(block) < pool_.idle_since(before),
                "a block would be forgotten before those after it");
    }
    require(kept == tree_.num_nodes(), "the tree has nodes without blocks");
}

}  // namespace troupe
