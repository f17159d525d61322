// The KvCacheManager machine: which block of the pool holds which tokens' KV. Pure bookkeeping, no memory is
// touched: what must physically happen (blocks to add to a table, one block to copy first) is returned for
// the step's plan.
//
// Who owns a block (leaks live at these borders):
//
//   event                       the block's reference
//   extend                      pool -> table
//   fork                        one more for the child's table, for every shared block
//   extend into a shared block  copy-on-write: the table's reference goes to a new block, the old one loses
//   one release                     table -> pool, which gives it out again only after the last step that
//   uses it
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "core/ids.hpp"
#include "core/step_plan.hpp"
#include "kvcache/block_pool.hpp"

namespace troupe {

struct KvCacheOptions {
    std::uint32_t num_blocks = 0;
    std::uint32_t block_size = 16;  // tokens
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

    explicit KvCacheManager(KvCacheOptions options);

    // A new, empty table.
    TableHandle create();

    // A table that shares the parent's blocks of its first num_tokens tokens, which the parent must have.
    // Whichever of the two first extends into a shared block that is not full of its own tokens gets a copy.
    TableHandle fork(TableHandle parent, std::uint64_t num_tokens);

    // Its blocks come free once no other table has them and no step in flight uses them. The handle may be
    // reused.
    void release(TableHandle table);

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
    std::uint32_t num_blocks() const { return pool_.num_blocks(); }
    std::uint32_t num_free() const { return pool_.num_free(); }
    std::uint32_t num_retired() const {
        return pool_.num_retired();
    }  // free when the steps in flight have ended

    // For tests: throws std::logic_error if pool and tables contradict each other.
    void check_invariants() const;

  private:
    struct Table {
        std::vector<BlockId> blocks;
        std::uint64_t num_tokens = 0;
        StepId last_use = 0;
        bool in_use = false;
    };
    bool writes_to_shared(const Table& table) const;

    KvCacheOptions options_;
    BlockPool pool_;
    std::vector<Table> tables_;
    std::vector<TableHandle> unused_;  // handles to give out again
};

}  // namespace troupe
