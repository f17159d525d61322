// What of the KV goes to the tiers below the pool, what comes back, and which moves are under way. Part of
// the Scheduler machine.
//
// When a sequence gives up its blocks, those that are remembered (KvCacheManager) are saved: copied down
// while they stay where they are, held for the time of the move only. When a sequence is to run whose tokens
// lie below, they are loaded: copied into new blocks, which then are remembered and found like all others.
// Host memory is kept a little free by spilling to disk what was used least recently. Who may choose, the
// costs do: measured microseconds of moving a block against what the cost model says of computing it.
//
// A move that fails loses what it moved and nothing else. Blocks of open moves are held by tables of their
// own, so nobody gets them before MoveCompleted, or WorkerLost, which ends all moves.
#pragma once
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/block_move.hpp"
#include "engine/cost_model.hpp"
#include "engine/scheduler.hpp"
#include "kvcache/kv_cache_manager.hpp"
#include "kvcache/swap_tiers.hpp"

namespace troupe {

class Swapper {
  public:
    // `kv` and `costs` must outlive it.
    Swapper(const SchedulerOptions& options, KvCacheManager& kv, const CostModel& costs);

    bool enabled() const { return tiers_.exist(); }

    enum class Wish : std::uint8_t { by_cost, always };

    // The sequence with these tokens, all with KV by completed steps, is about to give up its blocks.
    void save(std::string_view salt, std::span<const TokenId> tokens, Wish wish, TimeUs now);

    // Brings `below` up to date with what lies below of `tokens`, and says how many blocks beyond the `above`
    // found in the pool it pays to load.
    std::uint32_t loadable(PrefixMatch& below, const PrefixMatch& above, std::string_view salt,
                           std::span<const TokenId> tokens, TimeUs now) const;

    // Starts to load those blocks; false if the free blocks do not suffice. `num_promised` more are kept for
    // who wants them. Precondition: both matches are up to date, and loadable() was more than 0.
    bool load(const PrefixMatch& above, const PrefixMatch& below, std::string_view salt,
              std::span<const TokenId> tokens, std::uint32_t num_promised);
    // Whether the block after those found in the pool is being loaded.
    bool is_loading(const PrefixMatch& above) const;
    // Blocks that those who wait for loads want beside what is loaded.
    std::uint32_t num_promised() const;

    void completed(const MoveDone& done, TimeUs now);

    // The pool is gone, and the moves with it; what lies below stays.
    void lose_pool();
    // So is what lies below. Precondition: there are no moves.
    void lose_tiers() { tiers_.forget_all(); }

    // The moves to be carried out now, since the last call.
    std::vector<MoveBlocks> take_moves(Epoch epoch, TimeUs now);

    // Blocks that come free when the open moves are done.
    std::uint32_t num_coming_free() const;
    // Blocks of the pool are to be had when an open move is done.
    bool holds_blocks() const { return num_block_jobs_ > 0; }

    SwapStats stats() const;
    std::uint32_t num_free_pages() const;  // those that can be given up included
    // Between the pool and the tier that is nearest; 0: there is none.
    double us_per_block(TimeUs now) const;

    // Blocks of the pool that open moves hold, and nobody else.
    std::vector<BlockId> held_blocks() const;

    // For tests: throws std::logic_error if jobs and tiers contradict each other.
    void check_invariants() const;

  private:
    using Page = SwapTiers::Page;
    using Table = KvCacheManager::TableHandle;

    enum class Kind : std::uint8_t { save, load, spill };
    struct Job {
        Kind kind = Kind::save;
        std::uint64_t key = 0;             // of a load: PrefixMatch::next_key of those who wait for it
        std::uint32_t num_promised = 0;    // of a load
        std::string salt = {};             // of saves and loads
        std::vector<TokenId> tokens = {};  // whole blocks, up to the last one moved
        Table table = 0;
        std::vector<Page> before = {};   // held: pages before those of a save
        std::vector<Page> pages = {};    // held: of the moves, in their order
        std::vector<Page> targets = {};  // held: of a spill
        std::uint32_t num_blocks() const { return static_cast<std::uint32_t>(pages.size()); }
    };
    // Of moves in one direction from or to one tier.
    struct Rate {
        double initial_us = 0;
        double us = 0;
        TimeUs measured = 0;  // 0: never
        double at(TimeUs now) const;
        void observe(double us_per_block, TimeUs now);
    };
    Rate& rate(Tier tier, bool up) { return rates_[(tier == Tier::disk ? 2 : 0) + (up ? 1 : 0)]; }
    const Rate& rate(Tier tier, bool up) const { return rates_[(tier == Tier::disk ? 2 : 0) + (up ? 1 : 0)]; }

    bool usable(Tier tier, TimeUs now) const {
        return tiers_.has(tier) && now >= closed_until_[tier == Tier::disk ? 1 : 0];
    }
    double compute_us(std::uint64_t begin, std::uint64_t end) const;
    void open(Job job, std::vector<BlockMove> moves);
    void spill(TimeUs now);
    void end_save(Job& job, std::uint32_t num_moved);
    void end_load(Job& job, std::uint32_t num_moved);
    void end_spill(Job& job, std::uint32_t num_moved);
    void measure(const Job& job, const MoveDone& done, TimeUs now);
    void drop(const std::vector<Page>& pages);

    KvCacheManager& kv_;
    const CostModel& costs_;
    SwapTiers tiers_;
    std::uint32_t block_size_;
    std::uint32_t chunk_;  // tokens of a step
    Rate rates_[4];        // host down, host up, disk down, disk up
    TimeUs closed_until_[2] = {0, 0};
    std::map<JobId, Job> jobs_;
    std::vector<MoveBlocks> moves_;          // not yet taken
    std::map<BlockId, std::uint32_t> held_;  // how many saves hold a block
    std::uint32_t num_block_jobs_ = 0;       // saves and loads
    bool spilling_ = false;
    JobId last_job_ = 0;
    SwapStats totals_;
};

}  // namespace troupe
