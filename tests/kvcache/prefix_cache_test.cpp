// Blocks remembered by their tokens: what is found, what is not, and what goes when blocks run out.
#include <deque>
#include <map>
#include <random>
#include <set>

#include "kvcache/kv_cache_manager.hpp"
#include "tests/catch.hpp"

namespace troupe {
namespace {

using Tokens = std::vector<TokenId>;
using Handle = KvCacheManager::TableHandle;

std::uint64_t all_collide(std::uint64_t, std::span<const TokenId>) { return 7; }

PrefixMatch look(const KvCacheManager& kv, const std::string& salt, const Tokens& tokens) {
    PrefixMatch match;
    kv.match(match, salt, tokens);
    return match;
}

// A table with these tokens, computed in one step that has completed.
Handle compute(KvCacheManager& kv, const std::string& salt, const Tokens& tokens, StepId step) {
    const Handle table = kv.take(look(kv, salt, tokens));
    const auto missing = static_cast<std::uint32_t>(tokens.size() - kv.num_tokens(table));
    REQUIRE(kv.extend(table, missing, step));
    kv.end_step(step);
    kv.completed(table, salt, tokens);
    kv.check_invariants();
    return table;
}

Tokens count_up(TokenId first, std::size_t count) {
    Tokens tokens;
    for (std::size_t i = 0; i < count; ++i) tokens.push_back(first + static_cast<TokenId>(i));
    return tokens;
}

TEST_CASE("full blocks of completed steps are found, under their salt only") {
    KvCacheManager kv({.num_blocks = 8, .block_size = 4, .hash = GENERATE(hash_prefix, all_collide)});
    const Tokens tokens = count_up(0, 10);
    const Handle a = kv.create();
    REQUIRE(kv.extend(a, 10, 1));
    CHECK(look(kv, "s", tokens).num_blocks == 0);  // the step has not completed
    kv.end_step(1);
    kv.completed(a, "s", tokens);
    CHECK(look(kv, "s", tokens).num_blocks == 2);
    CHECK(look(kv, "s", count_up(0, 8)).num_blocks == 2);
    CHECK(look(kv, "s", count_up(0, 7)).num_blocks == 1);
    CHECK(look(kv, "t", tokens).num_blocks == 0);
    CHECK(look(kv, "", tokens).num_blocks == 0);
    Tokens other = tokens;
    other[5] = 77;
    CHECK(look(kv, "s", other).num_blocks == 1);
    other[0] = 77;
    CHECK(look(kv, "s", other).num_blocks == 0);
    // The same tokens at another place are not the same prefix.
    CHECK(look(kv, "s", count_up(4, 4)).num_blocks == 0);

    const Handle b = kv.take(look(kv, "s", tokens));
    CHECK(kv.block_table(b) == Tokens{0, 1});
    CHECK(kv.num_tokens(b) == 8);
    REQUIRE(kv.extend(b, 1, 2)->new_blocks == Tokens{3});
    kv.check_invariants();
}

TEST_CASE("remembered blocks outlive their table and count as free") {
    KvCacheManager kv({.num_blocks = 4, .block_size = 4});
    const Tokens tokens = count_up(0, 9);
    kv.release(compute(kv, "", tokens, 1));
    CHECK(kv.num_free() == 4);
    CHECK(kv.num_idle() == 2);
    PrefixMatch match = look(kv, "", tokens);
    CHECK(match.num_blocks == 2);
    CHECK(kv.num_unreferenced(match) == 2);
    CHECK(kv.num_idle(match) == 2);
    const Handle again = kv.take(match);
    CHECK(kv.num_free() == 2);
    CHECK(kv.num_unreferenced(match) == 0);
    kv.release(again);
    CHECK(kv.num_unreferenced(match) == 2);
    kv.check_invariants();
}

TEST_CASE("the least recently used block goes first, and those after it before it") {
    KvCacheManager kv({.num_blocks = 6, .block_size = 4});
    const Tokens first = count_up(0, 12), second = count_up(100, 12);
    kv.release(compute(kv, "", first, 1));
    kv.release(compute(kv, "", second, 2));
    kv.release(kv.take(look(kv, "", count_up(0, 4))));  // the first one's first block is used again
    const auto found = [&] {
        return std::pair(look(kv, "", first).num_blocks, look(kv, "", second).num_blocks);
    };
    const Handle other = kv.create();
    StepId step = 2;
    std::vector<std::pair<std::uint32_t, std::uint32_t>> seen;
    for (int i = 0; i < 6; ++i) {
        REQUIRE(kv.extend(other, 4, ++step));
        kv.end_step(step);
        kv.check_invariants();
        seen.push_back(found());
    }
    CHECK(seen == std::vector<std::pair<std::uint32_t, std::uint32_t>>{
                      {2, 3}, {1, 3}, {1, 2}, {1, 1}, {1, 0}, {0, 0}});
    CHECK_FALSE(kv.extend(other, 1, ++step));
}

TEST_CASE("blocks that are shared again while a step uses them keep their order") {
    KvCacheManager kv({.num_blocks = 4, .block_size = 4});
    const Tokens tokens = count_up(0, 8);
    kv.release(compute(kv, "", tokens, 1));
    const Handle a = kv.take(look(kv, "", count_up(0, 4)));
    REQUIRE(kv.extend(a, 1, 2));
    kv.release(a);  // block 0 waits for step 2, block 1 is idle
    const Handle b = kv.take(look(kv, "", tokens));
    REQUIRE(kv.extend(b, 1, 2));
    kv.release(b);
    kv.check_invariants();
    kv.end_step(2);
    kv.check_invariants();
    REQUIRE(kv.extend(kv.create(), 12, 3));
    CHECK(look(kv, "", tokens).num_blocks == 1);
}

TEST_CASE("a match is brought up to date when more is known, and when it is gone") {
    KvCacheManager kv({.num_blocks = 3, .block_size = 4});
    const Tokens tokens = count_up(0, 12);
    PrefixMatch match;
    kv.match(match, "", tokens);
    CHECK(match.num_blocks == 0);
    const std::uint64_t wanted = match.next_key;
    CHECK(wanted != 0);
    const Handle a = compute(kv, "", count_up(0, 4), 1);
    kv.match(match, "", tokens);
    CHECK(match.num_blocks == 1);
    CHECK(match.next_key != wanted);
    REQUIRE(kv.extend(a, 8, 2));
    kv.end_step(2);
    kv.completed(a, "", tokens);
    kv.match(match, "", tokens);
    CHECK(match.num_blocks == 3);
    CHECK(match.next_key == 0);  // nothing follows
    kv.release(a);
    kv.match(match, "", tokens);
    CHECK(match.num_blocks == 3);
    REQUIRE(kv.extend(kv.create(), 5, 3));
    kv.match(match, "", tokens);
    CHECK(match.num_blocks == 1);
    REQUIRE(kv.extend(kv.create(), 4, 4));  // b's block: it was not remembered
    kv.match(match, "", tokens);
    CHECK(match.num_blocks == 0);
    CHECK(match.next_key == wanted);
}

TEST_CASE("what two computed at once is remembered once, and again when the first copy is idle") {
    KvCacheManager kv({.num_blocks = 8, .block_size = 4});
    const Tokens tokens = count_up(0, 8);
    const Handle a = kv.create(), b = kv.create();
    REQUIRE(kv.extend(a, 8, 1));
    REQUIRE(kv.extend(b, 8, 1));
    kv.end_step(1);
    kv.completed(a, "", tokens);
    kv.completed(b, "", tokens);
    kv.check_invariants();
    CHECK(kv.block_table(kv.take(look(kv, "", count_up(0, 4)))) == Tokens{0});
    kv.release(a);
    CHECK(kv.num_idle() == 1);  // block 0 is the third one's
    kv.release(b);
    CHECK(kv.num_idle() == 1);
    const Handle c = kv.create();
    REQUIRE(kv.extend(c, 4, 2));
    kv.end_step(2);
    Tokens other = tokens;
    other[0] = 50;
    kv.completed(c, "", {other.data(), 4});
    kv.release(c);
    const Handle d = kv.create();  // computes what is idle
    REQUIRE(kv.extend(d, 4, 3));
    kv.end_step(3);
    const BlockId block = kv.block_table(d)[0];
    kv.completed(d, "", {other.data(), 4});
    kv.check_invariants();
    CHECK(kv.block_table(kv.take(look(kv, "", {other.begin(), other.begin() + 4}))) == Tokens{block});
}

TEST_CASE("a block that a step still uses keeps its place, and those after it stay findable") {
    KvCacheManager kv({.num_blocks = 4, .block_size = 4});
    const Tokens tokens = count_up(0, 8);
    const Handle a = compute(kv, "", tokens, 1);
    const Handle b = kv.create();
    REQUIRE(kv.extend(b, 4, 2));
    REQUIRE(kv.extend(a, 1, 3));
    kv.release(a);
    kv.end_step(2);
    kv.completed(b, "", count_up(0, 4));  // as block 0, which step 3 still reads
    kv.release(b);
    kv.check_invariants();
    CHECK(look(kv, "", tokens).num_blocks == 2);
    REQUIRE(kv.extend(kv.create(), 4, 4));  // b's block: it was not remembered
    kv.check_invariants();
    kv.end_step(3);
    kv.check_invariants();
    CHECK(look(kv, "", tokens).num_blocks == 2);
}

TEST_CASE("the beginning of a block that another fills is shared by copy-on-write") {
    KvCacheManager kv({.num_blocks = 6, .block_size = 4});
    const Handle a = compute(kv, "", count_up(0, 7), 1);
    Tokens wanted = count_up(0, 6);
    wanted.push_back(99);
    const PrefixMatch match = look(kv, "", wanted);
    REQUIRE(match.num_blocks == 1);
    REQUIRE(kv.follows(a, match));
    const Handle b = kv.take(match, KvCacheManager::Tail{a, 2});
    CHECK(kv.num_tokens(b) == 6);
    CHECK(kv.blocks_needed(b, 1) == 1);
    const auto written = kv.extend(b, 1, 2);
    CHECK(written->copy == BlockCopy{.from = 1, .to = 2});
    CHECK(kv.block_table(b) == Tokens{0, 2});
    CHECK_FALSE(kv.extend(a, 1, 2)->copy);  // its own again
    kv.check_invariants();
}

TEST_CASE("a copied block that nobody else holds lives until its copy is made") {
    KvCacheManager kv({.num_blocks = 2, .block_size = 4});
    const Handle a = compute(kv, "", {1}, 1);
    const Handle b = kv.take(look(kv, "", {1}), KvCacheManager::Tail{a, 1});
    REQUIRE(kv.extend(b, 1, 2)->copy);
    kv.release(a);  // its last step has ended, but the copy in step 2 reads its block
    CHECK(kv.num_free() == 0);
    kv.end_step(2);
    CHECK(kv.num_free() == 1);
    kv.check_invariants();
}

TEST_CASE("a remembered block is not written to, even by its only holder") {
    KvCacheManager kv({.num_blocks = 6, .block_size = 4});
    const Handle a = compute(kv, "", count_up(0, 8), 1);
    const PrefixMatch match = look(kv, "", count_up(0, 6));
    const Handle b = kv.take(match, KvCacheManager::Tail{a, 2});
    kv.release(a);
    const auto written = kv.extend(b, 1, 2);
    CHECK(written->copy == BlockCopy{.from = 1, .to = 2});
    kv.end_step(2);
    CHECK(look(kv, "", count_up(0, 8)).num_blocks == 2);
    kv.check_invariants();
}

TEST_CASE("a lost worker's prefixes are forgotten") {
    KvCacheManager kv({.num_blocks = 6, .block_size = 4});
    const Handle a = compute(kv, "", count_up(0, 9), 1);
    REQUIRE(kv.extend(a, 1, 2));
    kv.release(a);
    kv.end_step(2);
    kv.forget_all();
    kv.check_invariants();
    CHECK(look(kv, "", count_up(0, 9)).num_blocks == 0);
    CHECK(kv.num_idle() == 0);
    CHECK(kv.num_free() == 6);
}

// Sequences of few different tokens under few salts, which share whatever they can, over a pool of what each
// slot holds: the tokens before it and its salt. What a table has is always what its own tokens are.
class RandomPrefixes {
  public:
    RandomPrefixes(KvCacheOptions options, std::uint32_t seed)
        : options_(options), kv_(options), slots_(options.num_blocks * options.block_size), random_(seed) {}

    void operate() {
        const auto dice = upto(16);
        if (dice < 4 && sequences_.size() < 10) {
            admit();
        } else if (dice < 9 && !sequences_.empty()) {
            write();
        } else if (dice == 9 && !sequences_.empty()) {
            release(any());
        } else if (dice == 10 && waiting_.size() < 6) {
            waiting_.push_back({any_salt(), any_tokens(), {}});
        } else if (dice == 11 && upto(12) == 0) {
            lose();
        } else if (!in_flight_.empty()) {
            end_step();
        }
        check();
    }

    void drain() {
        while (!sequences_.empty()) release(sequences_.begin()->first);
        while (!in_flight_.empty()) end_step();
        check();
        CHECK(kv_.num_free() == options_.num_blocks);
        kv_.forget_all();
        CHECK(kv_.num_idle() == 0);
        check();
    }
    std::size_t num_hits = 0, num_tails = 0, num_copies = 0, num_refusals = 0;

  private:
    struct Sequence {
        std::string salt;
        Tokens tokens;                // known
        std::uint32_t computed = 0;   // by completed steps
        std::uint32_t scheduled = 0;  // by steps in flight
    };
    struct Waiting {
        std::string salt;
        Tokens tokens;
        PrefixMatch match;
    };
    struct Step {
        StepId id = 0;
        std::vector<std::pair<Handle, std::uint32_t>> rows;
        std::set<BlockId> blocks;
    };

    std::uint32_t upto(std::size_t n) { return static_cast<std::uint32_t>(random_() % n); }
    std::string any_salt() { return std::string(upto(3), 'x'); }
    Handle any() { return std::next(sequences_.begin(), upto(sequences_.size()))->first; }
    Tokens any_tokens() {
        Tokens tokens;
        if (!sequences_.empty() && upto(2) == 0) {
            tokens = sequences_.at(any()).tokens;
            tokens.resize(1 + upto(tokens.size()));
        }
        const std::size_t more = 1 + upto(3 * std::size_t{options_.block_size});
        for (std::size_t i = 0; i < more; ++i) tokens.push_back(static_cast<TokenId>(upto(2)));
        return tokens;
    }

    void admit() {
        Sequence sequence{any_salt(), any_tokens(), 0, 0};
        const std::span<const TokenId> usable(sequence.tokens.data(), sequence.tokens.size() - 1);
        PrefixMatch match = look(kv_, sequence.salt, {usable.begin(), usable.end()});
        std::optional<KvCacheManager::Tail> tail;
        for (const auto& [table, other] : sequences_) {
            if (other.salt != sequence.salt || !kv_.follows(table, match)) continue;
            const std::size_t begin = std::size_t{match.num_blocks} * options_.block_size;
            std::size_t end = begin;
            while (end < std::min(
                             {usable.size(), begin + options_.block_size - 1, std::size_t{other.computed}}) &&
                   other.tokens[end] == usable[end])
                ++end;
            if (end > begin) tail = {table, static_cast<std::uint32_t>(end - begin)};
        }
        const std::uint32_t idle = kv_.num_idle(match), before = kv_.num_free();
        if (tail && before < idle + 1) tail.reset();
        const Handle table = kv_.take(match, tail);
        REQUIRE(kv_.num_free() == before - idle);
        sequence.computed = static_cast<std::uint32_t>(kv_.num_tokens(table));
        num_hits += match.num_blocks;
        sequences_[table] = sequence;
        if (!tail) return;
        ++num_tails;
        if (upto(4) == 0) release(tail->table);
        extend(table, 1);
    }

    void write() {
        const Handle table = any();
        Sequence& sequence = sequences_.at(table);
        const auto begin = sequence.computed + sequence.scheduled;
        if (begin == sequence.tokens.size()) sequence.tokens.push_back(static_cast<TokenId>(upto(2)));
        const auto left = static_cast<std::uint32_t>(sequence.tokens.size()) - begin;
        extend(table, 1 + upto(left));
    }

    void extend(Handle table, std::uint32_t count) {
        if (in_flight_.empty() || upto(3) == 0) begin_step();
        const std::uint32_t needed = kv_.blocks_needed(table, count), before = kv_.num_free();
        auto reservation = kv_.extend(table, count, in_flight_.back().id);
        REQUIRE(reservation.has_value() == (needed <= before));
        if (!reservation) {
            ++num_refusals;
            return release(table);
        }
        Step& step = in_flight_.back();
        for (const Step& other : in_flight_) {
            for (BlockId block : reservation->new_blocks) REQUIRE(other.blocks.count(block) == 0);
        }
        if (reservation->copy) {
            ++num_copies;
            for (std::uint32_t i = 0; i < options_.block_size; ++i)
                slot(reservation->copy->to, i) = slot(reservation->copy->from, i);
            step.blocks.insert(reservation->copy->from);
        }
        Sequence& sequence = sequences_.at(table);
        for (std::uint32_t i = 0; i < count; ++i) {
            const std::size_t position = sequence.computed + sequence.scheduled++;
            at(table, position) = content(sequence, position);
        }
        for (BlockId block : kv_.block_table(table)) step.blocks.insert(block);
        step.rows.emplace_back(table, count);
    }

    void begin_step() {
        if (in_flight_.size() == 3) end_step();
        in_flight_.push_back({++step_, {}, {}});
    }
    void end_step() {
        const Step step = std::move(in_flight_.front());
        in_flight_.pop_front();
        kv_.end_step(step.id);
        for (const auto& [table, count] : step.rows) {
            Sequence& sequence = sequences_.at(table);
            sequence.computed += count;
            sequence.scheduled -= count;
            kv_.completed(table, sequence.salt, {sequence.tokens.data(), sequence.computed});
        }
    }
    void release(Handle table) {
        kv_.release(table);
        sequences_.erase(table);
        for (Step& step : in_flight_)
            std::erase_if(step.rows, [&](const auto& row) { return row.first == table; });
    }
    void lose() {
        while (!sequences_.empty()) release(any());
        in_flight_.clear();
        kv_.end_step(step_);
        kv_.forget_all();
        for (std::uint64_t& slot : slots_) slot = 0;
    }

    std::uint64_t& slot(BlockId block, std::size_t offset) {
        return slots_[static_cast<std::size_t>(block) * options_.block_size + offset];
    }
    std::uint64_t& at(Handle table, std::size_t position) {
        return slot(kv_.block_table(table)[position / options_.block_size], position % options_.block_size);
    }
    static std::uint64_t content(const Sequence& sequence, std::size_t position) {
        return hash_prefix(sequence.salt.size(), {sequence.tokens.data(), position + 1});
    }
    void check() {
        kv_.check_invariants();
        for (const auto& [table, sequence] : sequences_) {
            const std::vector<BlockId>& blocks = kv_.block_table(table);
            REQUIRE(kv_.num_unshared(table) ==
                    std::count_if(blocks.begin(), blocks.end(),
                                  [&](BlockId block) { return kv_.references(block) == 1; }));
            for (std::size_t i = 0; i < sequence.computed + sequence.scheduled; ++i) {
                if (at(table, i) != content(sequence, i))
                    FAIL("table " << table << " reads wrong KV at " << i);
            }
        }
        for (Waiting& waiting : waiting_) {
            kv_.match(waiting.match, waiting.salt, waiting.tokens);
            PrefixMatch fresh = look(kv_, waiting.salt, waiting.tokens);
            REQUIRE(waiting.match.num_blocks == fresh.num_blocks);
            REQUIRE(waiting.match.next_key == fresh.next_key);
            REQUIRE(kv_.num_unreferenced(waiting.match) == kv_.num_unreferenced(fresh));
        }
        if (waiting_.size() == 6 && upto(50) == 0) waiting_.erase(waiting_.begin());
    }

    KvCacheOptions options_;
    KvCacheManager kv_;
    std::vector<std::uint64_t> slots_;
    std::map<Handle, Sequence> sequences_;
    std::vector<Waiting> waiting_;
    std::deque<Step> in_flight_;
    StepId step_ = 0;
    std::mt19937 random_;
};

TEST_CASE("random prefixes: every table reads the KV of its own tokens and salt") {
    std::size_t hits = 0, tails = 0, copies = 0, refusals = 0;
    for (std::uint32_t block_size : {1U, 2U, 16U}) {
        for (std::uint32_t num_blocks : {3U, 16U, 100U}) {
            for (PrefixHash hash : {hash_prefix, all_collide}) {
                for (std::uint32_t seed = 1; seed <= 3; ++seed) {
                    INFO("block size " << block_size << ", blocks " << num_blocks << ", seed " << seed);
                    RandomPrefixes prefixes({num_blocks, block_size, hash}, seed);
                    for (int i = 0; i < 2000; ++i) prefixes.operate();
                    prefixes.drain();
                    hits += prefixes.num_hits;
                    tails += prefixes.num_tails;
                    copies += prefixes.num_copies;
                    refusals += prefixes.num_refusals;
                }
            }
        }
    }
    CHECK(hits > 5000);
    CHECK(tails > 300);
    CHECK(copies > 200);
    CHECK(refusals > 500);
}

}  // namespace
}  // namespace troupe
