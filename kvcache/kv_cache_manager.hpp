// The KvCacheManager machine: which block of the pool holds which tokens' KV. Pure bookkeeping, no memory is
// touched: what must physically happen (blocks to add to a table, one block to copy first) is returned for
// the step's plan.
//
// Full blocks are remembered by their tokens in a tree (kvcache/prefix_tree.hpp) once the step that filled
// them has completed, so that others with the same beginning take them instead of computing them again. A
// remembered block that no table has is idle: it counts as free, and is given out, the one that was used
// least recently first, when no other is left.
//
// Who owns a block (leaks live at these borders):
//
//   event                       the block's reference
//   extend                      pool -> table; an idle block is forgotten by the tree first
//   completed                   stays with the table; the tree remembers it without a reference
//   take                        one more for the new table, for every block found
//   extend into a block that    copy-on-write: the table's reference goes to a new block, the old one loses
//   others have or may find     one
//   release                     table -> pool, where it is idle (remembered) or free, but only after the
//                               last step that uses it
//
// Who has a block of the tree has the blocks of its ancestors, too: a table shares chains from the root, and
// remembers no block behind one that another computed beside it. So a node's children are idle before it is,
// and the block that has been idle for longest is always a leaf.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/ids.hpp"
#include "core/prefix_match.hpp"
#include "core/step_plan.hpp"
#include "kvcache/block_pool.hpp"
#include "kvcache/prefix_tree.hpp"

namespace troupe {

struct KvCacheOptions {
    std::uint32_t num_blocks = 0;
    std::uint32_t block_size = 16;  // tokens
    PrefixHash hash = hash_prefix;  // tests give one that collides
};

// What extend() changed in a table: the last num_replaced blocks (0 or 1) go, then new_blocks are appended.
struct Reservation {
    std::vector<BlockId> new_blocks;
    std::uint32_t num_replaced = 0;
    std::optional<BlockCopy> copy;  // to be done before the step computes
};

// Owned by one Scheduler, not thread-safe. Steps are numbered upwards and end in order.
class KvCacheManager {
  public:
    using TableHandle = std::uint32_t;

    // A table whose next block after a match begins with num_tokens tokens that are wanted, too.
    struct Tail {
        TableHandle table = 0;
        std::uint32_t num_tokens = 0;  // with KV by completed steps; less than a block
    };

    explicit KvCacheManager(KvCacheOptions options);

    // A new, empty table.
    TableHandle create();

    // Brings `match` up to date with what is remembered of the beginning of `tokens` under `salt`. Sequences
    // share blocks only under equal salts. A match goes with one salt and one list of tokens. Returns how
    // many blocks were looked up: none if it was up to date.
    std::uint32_t match(PrefixMatch& match, std::string_view salt, std::span<const TokenId> tokens) const {
        return tree_.match(match, salt, tokens);
    }
    bool is_current(const PrefixMatch& match) const { return tree_.is_current(match); }
    // All that it found is still remembered, though there may be more by now.
    bool is_there(const PrefixMatch& match) const { return tree_.is_there(match); }
    // How many of the blocks found are in no table. A table that takes them takes as many of the free or
    // retired ones away.
    std::uint32_t num_unreferenced(PrefixMatch& match) const;
    // How many of them are idle, and so counted in num_free().
    std::uint32_t num_idle(const PrefixMatch& match) const;
    // The match of a table's own blocks, with `tokens` being its tokens.
    PrefixMatch match_of(TableHandle table, std::string_view salt, std::span<const TokenId> tokens) const;
    // Whether the table's first blocks are those found.
    bool follows(TableHandle table, const PrefixMatch& match) const;

    // A table with the blocks found. With a tail, its block is shared, too, and copied by the next extend();
    // its table must follow the match. Precondition: `match` is up to date.
    TableHandle take(const PrefixMatch& match, const std::optional<Tail>& tail = std::nullopt);

    // All steps that wrote the KV of `tokens`, the table's first ones, have completed: full blocks of them
    // are found from now on.
    void completed(TableHandle table, std::string_view salt, std::span<const TokenId> tokens);

    // How many of its blocks no other table has.
    std::uint32_t num_unshared(TableHandle table);

    // Its blocks come free once no other table has them and no step in flight uses them. The handle may be
    // reused.
    void release(TableHandle table);

    // Forgets all prefixes: the KV is gone. Precondition: there are no tables.
    void forget_all();

    // Room for num_tokens more, to be written by `step`; nothing is changed and nothing returned if the free
    // blocks do not suffice. Must be called for every table that a step uses: it notes that use.
    std::optional<Reservation> extend(TableHandle table, std::uint32_t num_tokens, StepId step);

    // How many free blocks extend() would take.
    std::uint32_t blocks_needed(TableHandle table, std::uint32_t num_tokens) const;

    // Steps up to this one have completed, or were lost with their worker.
    void end_step(StepId step) { pool_.end_step(step); }

    std::uint32_t blocks_for(std::uint64_t num_tokens) const {
        return static_cast<std::uint32_t>((num_tokens + options_.block_size - 1) / options_.block_size);
    }
    const std::vector<BlockId>& block_table(TableHandle table) const { return tables_[table].blocks; }
    std::uint32_t references(BlockId block) const { return pool_.references(block); }  // by tables
    std::uint64_t num_tokens(TableHandle table) const { return tables_[table].num_tokens; }
    std::uint32_t num_blocks() const { return pool_.num_blocks(); }
    // To be had now, idle ones included.
    std::uint32_t num_free() const { return pool_.num_free() + pool_.num_idle(); }
    // Free when the steps in flight have ended.
    std::uint32_t num_retired() const { return pool_.num_retired(); }
    // Remembered and in no table, nor in use by a step.
    std::uint32_t num_idle() const { return pool_.num_idle(); }

    // For tests: throws std::logic_error if pool, tree and tables contradict each other.
    void check_invariants() const;

  private:
    using Node = PrefixTree::Node;

    struct Table {
        std::vector<BlockId> blocks;
        std::vector<Node> chain;       // of its first blocks, those that the tree remembers
        std::uint32_t num_shared = 0;  // of its first blocks, when that was last asked for
        std::uint64_t num_tokens = 0;
        StepId last_use = 0;
        bool in_use = false;
    };
    bool writes_to_shared(const Table& table) const;
    BlockId take_block();
    bool remember(Table& table, std::string_view salt, std::span<const TokenId> tokens);

    KvCacheOptions options_;
    BlockPool pool_;
    PrefixTree tree_;
    std::vector<Table> tables_;
    std::vector<TableHandle> unused_;  // handles to give out again
};

}  // namespace troupe
