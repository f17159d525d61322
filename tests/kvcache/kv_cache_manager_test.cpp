#include "kvcache/kv_cache_manager.hpp"

#include <deque>
#include <map>
#include <random>
#include <set>

#include "tests/catch.hpp"

namespace troupe {
namespace {

TEST_CASE("blocks are given for tokens, in a fixed order, all or none") {
    KvCacheManager kv({.num_blocks = 4, .block_size = 4});
    const auto a = kv.create();
    auto first = kv.extend(a, 5, 1);
    REQUIRE(first);
    CHECK(first->new_blocks == std::vector<BlockId>{0, 1});
    CHECK(kv.extend(a, 3, 2)->new_blocks.empty());
    const auto b = kv.create();
    CHECK(kv.blocks_needed(b, 9) == 3);
    CHECK_FALSE(kv.extend(b, 9, 2));
    CHECK(kv.num_free() == 2);
    CHECK(kv.block_table(b).empty());
    CHECK(kv.extend(b, 8, 2)->new_blocks == std::vector<BlockId>{2, 3});
    kv.check_invariants();
}

TEST_CASE("released blocks wait for the last step that uses them, and only for that") {
    KvCacheManager kv({.num_blocks = 4, .block_size = 1});
    const auto a = kv.create();
    const auto b = kv.create();
    REQUIRE(kv.extend(a, 2, 1));
    REQUIRE(kv.extend(b, 2, 2));
    kv.end_step(1);
    kv.release(a);  // its step has ended
    CHECK(kv.num_free() == 2);
    kv.release(b);  // step 2 is in flight
    CHECK(kv.num_free() == 2);
    CHECK(kv.num_retired() == 2);
    kv.check_invariants();
    kv.end_step(2);
    CHECK(kv.num_free() == 4);
    kv.check_invariants();
}

TEST_CASE("a fork shares all blocks and copies the last one when either writes to it") {
    KvCacheManager kv({.num_blocks = 5, .block_size = 4});
    const auto parent = kv.create();
    REQUIRE(kv.extend(parent, 6, 1));
    const auto child = kv.fork(parent, 6);
    CHECK(kv.num_free() == 3);
    auto written = kv.extend(child, 1, 2);
    REQUIRE(written);
    CHECK(written->num_replaced == 1);
    CHECK(written->copy == BlockCopy{.from = 1, .to = 2});
    CHECK(kv.block_table(child) == std::vector<BlockId>{0, 2});
    CHECK(kv.block_table(parent) == std::vector<BlockId>{0, 1});
    auto own = kv.extend(parent, 1, 2);  // it is the parent's alone again
    CHECK_FALSE(own->copy);
    kv.release(parent);
    kv.end_step(2);
    CHECK(kv.num_free() == 3);  // block 0 is still the child's
    kv.check_invariants();
}

TEST_CASE("a fork at a block's end needs no copy") {
    KvCacheManager kv({.num_blocks = 3, .block_size = 4});
    const auto parent = kv.create();
    REQUIRE(kv.extend(parent, 4, 1));
    const auto child = kv.fork(parent, 4);
    CHECK(kv.blocks_needed(child, 1) == 1);
    auto written = kv.extend(child, 1, 2);
    CHECK_FALSE(written->copy);
    CHECK(written->num_replaced == 0);
    kv.check_invariants();
}

TEST_CASE("a fork of a beginning shares its blocks only, and writes to none of them") {
    KvCacheManager kv({.num_blocks = 6, .block_size = 4});
    const auto parent = kv.create();
    REQUIRE(kv.extend(parent, 11, 1));
    const auto child = kv.fork(parent, 6);
    CHECK(kv.block_table(child) == std::vector<BlockId>{0, 1});
    CHECK(kv.blocks_needed(child, 2) == 1);
    CHECK(kv.blocks_needed(parent, 1) == 0);  // its last block is its own
    auto written = kv.extend(child, 2, 2);
    REQUIRE(written);
    CHECK(written->copy == BlockCopy{.from = 1, .to = 3});
    kv.release(child);
    kv.release(parent);
    kv.end_step(2);
    CHECK(kv.num_free() == 6);
    kv.check_invariants();
}

TEST_CASE("a copied block that nobody else holds lives until its copy is made") {
    KvCacheManager kv({.num_blocks = 2, .block_size = 4});
    const auto parent = kv.create();
    REQUIRE(kv.extend(parent, 1, 1));
    kv.end_step(1);
    const auto child = kv.fork(parent, 1);
    REQUIRE(kv.extend(child, 1, 2)->copy);
    kv.release(parent);  // its last step has ended, but the copy in step 2 reads its block
    CHECK(kv.num_free() == 0);
    kv.end_step(2);
    CHECK(kv.num_free() == 1);
    kv.check_invariants();
}

// Random creations, writes, forks and releases over a pool of what each slot holds: every table must read
// back what was written through it, whoever shared, copied or released what in between.
class RandomCache {
  public:
    RandomCache(KvCacheOptions options, std::uint32_t seed)
        : options_(options), kv_(options), slots_(options.num_blocks * options.block_size), random_(seed) {}

    void operate() {
        const auto dice = random_() % 10;
        if (tables_.empty() || dice == 0) {
            tables_[kv_.create()];
        } else if (dice < 5) {
            write(any());
        } else if (dice == 5 && tables_.size() < 12) {
            const auto parent = any();
            const auto& tokens = tables_[parent];
            const auto shared = random_() % (tokens.size() + 1);
            const auto child = kv_.fork(parent, shared);
            tables_[child].assign(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(shared));
        } else if (dice == 6) {
            const auto table = any();
            kv_.release(table);
            tables_.erase(table);
        } else if (dice == 7) {
            begin_step();
        } else if (!in_flight_.empty()) {
            end_step();
        }
        check();
    }

    void drain() {
        while (!tables_.empty()) {
            kv_.release(tables_.begin()->first);
            tables_.erase(tables_.begin());
        }
        while (!in_flight_.empty()) end_step();
        check();
        CHECK(kv_.num_free() == options_.num_blocks);
    }
    std::size_t num_copies = 0;
    std::size_t num_refusals = 0;

  private:
    using Handle = KvCacheManager::TableHandle;

    Handle any() {
        auto table = tables_.begin();
        std::advance(table, random_() % tables_.size());
        return table->first;
    }
    void begin_step() {
        if (in_flight_.size() == 3) end_step();
        ++step_;
        in_flight_.emplace_back(step_, std::set<BlockId>{});
    }
    void end_step() {
        kv_.end_step(in_flight_.front().first);
        in_flight_.pop_front();
    }

    void write(Handle table) {
        if (in_flight_.empty()) begin_step();
        const auto count = static_cast<std::uint32_t>(1 + random_() % (2 * options_.block_size));
        const std::uint32_t needed = kv_.blocks_needed(table, count);
        const std::uint32_t free_before = kv_.num_free();
        const auto table_before = kv_.block_table(table);
        auto reservation = kv_.extend(table, count, step_);
        REQUIRE(reservation.has_value() == (needed <= free_before));
        if (!reservation) {
            ++num_refusals;
            REQUIRE(kv_.num_free() == free_before);
            REQUIRE(kv_.block_table(table) == table_before);
            const auto released = any();
            kv_.release(released);
            tables_.erase(released);
            return;
        }
        REQUIRE(kv_.num_free() + needed == free_before);
        for (const auto& [step, blocks] : in_flight_) {
            for (BlockId block : reservation->new_blocks) REQUIRE(blocks.count(block) == 0);
        }
        auto& used = in_flight_.back().second;
        if (reservation->copy) {
            ++num_copies;
            for (std::uint32_t i = 0; i < options_.block_size; ++i) {
                slot(reservation->copy->to, i) = slot(reservation->copy->from, i);
            }
            used.insert(reservation->copy->from);
        }
        auto& tokens = tables_[table];
        for (std::uint32_t i = 0; i < count; ++i) {
            at(table, tokens.size()) = ++last_token_;
            tokens.push_back(last_token_);
        }
        for (BlockId block : kv_.block_table(table)) used.insert(block);
    }

    std::uint64_t& slot(BlockId block, std::size_t offset) {
        return slots_[static_cast<std::size_t>(block) * options_.block_size + offset];
    }
    std::uint64_t& at(Handle table, std::size_t position) {
        return slot(kv_.block_table(table)[position / options_.block_size], position % options_.block_size);
    }
    void check() {
        kv_.check_invariants();
        for (const auto& [table, tokens] : tables_) {
            for (std::size_t i = 0; i < tokens.size(); ++i) {
                if (at(table, i) != tokens[i]) FAIL("table " << table << " reads a wrong token at " << i);
            }
        }
    }

    KvCacheOptions options_;
    KvCacheManager kv_;
    std::vector<std::uint64_t> slots_;
    std::map<Handle, std::vector<std::uint64_t>> tables_;
    std::deque<std::pair<StepId, std::set<BlockId>>> in_flight_;
    StepId step_ = 0;
    std::uint64_t last_token_ = 0;
    std::mt19937 random_;
};

TEST_CASE("random writes, forks and releases read back what was written") {
    std::size_t copies = 0;
    std::size_t refusals = 0;
    for (std::uint32_t block_size : {1U, 4U, 16U}) {
        for (std::uint32_t num_blocks : {3U, 16U, 200U}) {
            for (std::uint32_t seed = 1; seed <= 4; ++seed) {
                INFO("block size " << block_size << ", blocks " << num_blocks << ", seed " << seed);
                RandomCache cache({.num_blocks = num_blocks, .block_size = block_size}, seed);
                for (int i = 0; i < 2000; ++i) cache.operate();
                cache.drain();
                copies += cache.num_copies;
                refusals += cache.num_refusals;
            }
        }
    }
    CHECK(copies > 400);
    CHECK(refusals > 500);
}

}  // namespace
}  // namespace troupe
