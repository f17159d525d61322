// The Swapper beside a KvCacheManager, with memory that is followed byte by byte (a block's "bytes" are the
// tokens that its KV stands for): what is found is what was computed, whatever moves fail, come late or are
// lost, and nothing leaks.
#include "engine/swapper.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <random>
#include <set>

#include "engine/scheduler.hpp"
#include "tests/catch.hpp"

namespace troupe {
namespace {

using Tokens = std::vector<TokenId>;

struct Place {
    Tier tier;
    BlockId slot;
    auto operator<=>(const Place&) const = default;
};
Place at(const BlockPlace& place) { return {place.tier, place.slot}; }

SchedulerOptions options_of(std::uint32_t block_size, std::uint32_t blocks, std::uint32_t host,
                            std::uint32_t disk) {
    SchedulerOptions options;
    options.block_size = block_size;
    options.num_blocks = blocks;
    options.max_num_batched_tokens = 8;
    options.host_pages = host;
    options.disk_pages = disk;
    options.host_us_per_block = 1;
    options.disk_us_per_block = 2;
    return options;
}

// Sequences that come and go in a pool, and the memory that carries out the moves.
class World {
  public:
    World(const SchedulerOptions& options, std::uint32_t seed)
        : options_(options),
          kv_({.num_blocks = options.num_blocks, .block_size = options.block_size}),
          swapper_(options, kv_, costs_),
          random_(seed) {
        for (std::uint64_t n = 1; n < 20; ++n) costs_.observe(n, n * 2, 1000.0 * static_cast<double>(n));
    }

    std::uint32_t upto(std::uint32_t n) { return static_cast<std::uint32_t>(random_() % n); }

    Tokens random_tokens() {
        Tokens tokens(1 + upto(4 * options_.block_size + 2));
        TokenId token = 0;
        for (std::size_t i = 0; i < tokens.size(); ++i) {
            if (i % options_.block_size == 0) token = static_cast<TokenId>(upto(2));
            tokens[i] = token;
        }
        return tokens;
    }

    // Loads what pays, or runs with what is there and computes the rest.
    void start(Tokens tokens) {
        PrefixMatch above, below;
        kv_.match(above, "", tokens);
        if (swapper_.loadable(below, above, "", tokens, now_) > 0 && upto(4) > 0) {
            if (swapper_.load(above, below, "", tokens, upto(2))) REQUIRE(swapper_.is_loading(above));
            return take_moves();
        }
        const auto table = kv_.take(above);
        for (std::uint32_t i = 0; i < above.num_blocks; ++i) check(kv_.block_table(table)[i], tokens, i);
        const auto known = above.num_blocks * options_.block_size;
        const auto reserved = kv_.extend(table, static_cast<std::uint32_t>(tokens.size()) - known, ++step_);
        if (!reserved) return kv_.release(table);
        for (const BlockId block : reserved->new_blocks) {
            REQUIRE(open_.count({Tier::device, block}) == 0);
            memory_.erase({Tier::device, block});
        }
        const auto full = static_cast<std::uint32_t>(tokens.size()) / options_.block_size;
        for (std::uint32_t i = above.num_blocks; i < full; ++i)
            memory_[{Tier::device, kv_.block_table(table)[i]}] = up_to(tokens, i);
        kv_.completed(table, "", tokens);
        running_.push_back({table, std::move(tokens)});
        if (upto(2) == 0) kv_.end_step(step_);
    }

    void end() {
        if (running_.empty()) return;
        const auto i = upto(static_cast<std::uint32_t>(running_.size()));
        auto [table, tokens] = std::move(running_[i]);
        running_.erase(running_.begin() + i);
        swapper_.save("", tokens, upto(2) == 0 ? Swapper::Wish::always : Swapper::Wish::by_cost, now_);
        kv_.release(table);
        take_moves();
    }

    void take_moves() {
        for (MoveBlocks& job : swapper_.take_moves(1, now_)) {
            REQUIRE_FALSE(job.moves.empty());
            for (const BlockMove& move : job.moves) {
                REQUIRE(move.from.tier != move.to.tier);
                for (const auto& [id, other] : jobs_) {
                    for (const BlockMove& theirs : other.moves) REQUIRE(theirs.to != move.to);
                }
                if (move.to.tier != Tier::device) memory_.erase(at(move.to));
                open_.insert(at(move.from));
                open_.insert(at(move.to));
            }
            jobs_[job.job] = std::move(job);
        }
    }

    // Some open job is done: all of it, or a part, or none.
    void complete(bool may_fail) {
        if (jobs_.empty()) return;
        const auto found = std::next(jobs_.begin(), upto(static_cast<std::uint32_t>(jobs_.size())));
        const MoveBlocks job = std::move(found->second);
        jobs_.erase(found);
        MoveDone done{1, job.job, static_cast<std::uint32_t>(job.moves.size()), 1};
        if (may_fail && upto(4) == 0) done.num_moved = upto(done.num_moved + 1);
        for (std::uint32_t i = 0; i < done.num_moved; ++i) {
            if (memory_.count(at(job.moves[i].from)) == 0) {  // the checksum says so
                REQUIRE(broken_.count(at(job.moves[i].from)) > 0);
                done.num_moved = i;
                break;
            }
            memory_[at(job.moves[i].to)] = memory_.at(at(job.moves[i].from));
            broken_.erase(at(job.moves[i].to));
        }
        open_.clear();
        for (const auto& [id, other] : jobs_) {
            for (const BlockMove& move : other.moves) {
                open_.insert(at(move.from));
                open_.insert(at(move.to));
            }
        }
        swapper_.completed(done, now_);
        take_moves();
    }

    void corrupt() {
        if (memory_.empty()) return;
        auto page = std::next(memory_.begin(), upto(static_cast<std::uint32_t>(memory_.size())));
        if (page->first.tier == Tier::device) return;
        broken_.insert(page->first);
        memory_.erase(page);
    }

    void lose_pool(bool tiers_too) {
        for (const auto& [table, tokens] : running_) kv_.release(table);
        running_.clear();
        swapper_.lose_pool();
        kv_.end_step(step_);
        kv_.forget_all();
        jobs_.clear();
        open_.clear();
        std::erase_if(memory_, [](const auto& one) { return one.first.tier == Tier::device; });
        if (tiers_too) swapper_.lose_tiers();
    }

    void operate(bool disturbed) {
        now_ += disturbed && upto(50) == 0 ? 61'000'000 : 10;  // a tier that failed is tried again
        switch (upto(disturbed ? 12 : 10)) {
            case 0:
            case 1:
            case 2:
            case 3:
                start(random_tokens());
                break;
            case 4:
            case 5:
            case 6:
                end();
                break;
            case 7:
            case 8:
                complete(disturbed);
                break;
            case 9:
                kv_.end_step(step_);
                break;
            case 10:
                corrupt();
                break;
            default:
                if (upto(8) == 0) lose_pool(upto(3) == 0);
        }
        check_all();
    }

    void finish() {
        while (!running_.empty() || !jobs_.empty()) {
            end();
            complete(false);
        }
        kv_.end_step(step_);
        check_all();
        CHECK(kv_.num_free() == options_.num_blocks);
        CHECK(swapper_.num_coming_free() == 0);
        CHECK_FALSE(swapper_.holds_blocks());
        CHECK(swapper_.num_promised() == 0);
        const auto stats = swapper_.stats();
        CHECK(swapper_.num_free_pages() == options_.host_pages + options_.disk_pages);
        out += stats.blocks_out;
        in += stats.blocks_in;
        spilled += stats.blocks_spilled;
        failed += stats.blocks_failed;
    }

    static inline std::uint64_t out = 0, in = 0, spilled = 0, failed = 0;

  private:
    Tokens up_to(const Tokens& tokens, std::uint32_t block) const {
        return {tokens.begin(),
                tokens.begin() + static_cast<std::ptrdiff_t>((block + 1) * options_.block_size)};
    }
    void check(BlockId block, const Tokens& tokens, std::uint32_t index) const {
        REQUIRE(memory_.at({Tier::device, block}) == up_to(tokens, index));
    }
    void check_all() {
        REQUIRE_NOTHROW(kv_.check_invariants());
        REQUIRE_NOTHROW(swapper_.check_invariants());
    }

    SchedulerOptions options_;
    CostModel costs_;
    KvCacheManager kv_;
    Swapper swapper_;
    std::mt19937 random_;
    std::vector<std::pair<KvCacheManager::TableHandle, Tokens>> running_;
    std::map<Place, Tokens> memory_;
    std::set<Place> broken_;
    std::set<Place> open_;  // read or written by an open move
    std::map<JobId, MoveBlocks> jobs_;
    StepId step_ = 0;
    TimeUs now_ = 1;
};

void run_all(bool disturbed) {
    World::out = World::in = World::spilled = World::failed = 0;
    for (const std::uint32_t block_size : {1U, 2U, 16U}) {
        for (const auto& [blocks, host, disk] : {std::tuple{6U, 8U, 0U},
                                                 {6U, 4U, 12U},
                                                 {9U, 0U, 10U},
                                                 {20U, 3U, 3U},
                                                 {5U, 1U, 1U},
                                                 {7U, 0U, 0U}}) {
            for (std::uint32_t seed = 1; seed <= 10; ++seed) {
                INFO("block size " << block_size << ", blocks " << blocks << ", host " << host << ", disk "
                                   << disk << ", seed " << seed);
                World world(options_of(block_size, blocks, host, disk), seed);
                for (int i = 0; i < 800; ++i) world.operate(disturbed);
                world.finish();
            }
        }
    }
    CHECK(World::out > 1000);
    CHECK(World::in > 1000);
    CHECK(World::spilled > 200);
}

TEST_CASE("random saves and loads: what is found is what was computed") {
    run_all(false);
    CHECK(World::failed == 0);
}

TEST_CASE("random saves and loads with failures, changed pages and lost pools") {
    run_all(true);
    CHECK(World::failed > 200);
}

struct Small {
    explicit Small(std::uint32_t host = 4, std::uint32_t disk = 0, double host_us = 1)
        : options([&] {
              auto made = options_of(2, 8, host, disk);
              made.host_us_per_block = host_us;
              return made;
          }()),
          kv({.num_blocks = 8, .block_size = 2}),
          swapper(options, kv, costs) {
        for (std::uint64_t n = 1; n < 20; ++n) costs.observe(n, 0, 1000.0 * static_cast<double>(n));
    }
    // Ends at once; what it computed is saved if that pays.
    void run(const Tokens& tokens, TimeUs now = 1) {
        const auto table = kv.create();
        kv.extend(table, static_cast<std::uint32_t>(tokens.size()), ++step);
        kv.end_step(step);
        kv.completed(table, "", tokens);
        swapper.save("", tokens, Swapper::Wish::by_cost, now);
        kv.release(table);
    }
    std::uint32_t loadable(const Tokens& tokens, TimeUs now = 1) {
        PrefixMatch above, below;
        return swapper.loadable(below, above, "", tokens, now);
    }
    SchedulerOptions options;
    CostModel costs;
    KvCacheManager kv;
    Swapper swapper;
    StepId step = 0;
};

TEST_CASE("blocks that are being saved are free when they are saved, and found meanwhile") {
    Small small;
    small.run({1, 1, 2, 2, 3});
    CHECK(small.kv.num_free() == 6);
    CHECK(small.swapper.num_coming_free() == 2);
    PrefixMatch match;
    const Tokens tokens{1, 1, 2, 2};
    small.kv.match(match, "", tokens);
    CHECK(match.num_blocks == 2);
    const auto moves = small.swapper.take_moves(5, 1);
    REQUIRE(moves.size() == 1);
    CHECK(moves[0].epoch == 5);
    CHECK(moves[0].moves.size() == 2);
    CHECK(small.loadable(tokens) == 0);
    small.swapper.completed({5, moves[0].job, 2, 10}, 1);
    CHECK(small.kv.num_free() == 8);
    CHECK(small.loadable(tokens) == 2);
    CHECK(small.swapper.stats().host_pages_used == 2);
}

TEST_CASE("what is quicker to compute is not moved") {
    Small cheap(4, 0, 900), dear(4, 0, 1100);  // a block's two tokens take 2,000 us; a move goes both ways
    cheap.run({1, 1});
    CHECK(cheap.swapper.take_moves(1, 1).size() == 1);
    dear.run({1, 1});
    CHECK(dear.swapper.take_moves(1, 1).empty());
}

TEST_CASE("a tier that turns out slow is not asked again for a minute, nor is one that failed") {
    Small small;
    small.run({1, 1});
    auto moves = small.swapper.take_moves(1, 1);
    small.swapper.completed({1, moves.at(0).job, 1, 1'000'000}, 1);
    small.run({2, 2}, 2);
    CHECK(small.swapper.take_moves(1, 2).empty());
    small.run({3, 3}, 61'000'000);
    moves = small.swapper.take_moves(1, 61'000'000);
    REQUIRE(moves.size() == 1);
    small.swapper.completed({1, moves[0].job, 0, 0}, 61'000'000);
    CHECK(small.loadable({3, 3}, 61'000'000) == 0);
    CHECK(small.loadable({1, 1}, 122'000'000) == 1);  // what it holds is not lost
    small.run({4, 4}, 62'000'000);
    CHECK(small.swapper.take_moves(1, 62'000'000).empty());
    small.run({4, 4}, 122'000'000);
    CHECK(small.swapper.take_moves(1, 122'000'000).size() == 1);
}

TEST_CASE("host memory is spilled to disk before it is full") {
    Small small(4, 4);
    for (TokenId token = 1; token <= 4; ++token) {
        small.run({token, token});
        auto moves = small.swapper.take_moves(1, 1);
        while (!moves.empty()) {
            for (const auto& job : moves)
                small.swapper.completed({1, job.job, static_cast<std::uint32_t>(job.moves.size()), 1}, 1);
            moves = small.swapper.take_moves(1, 1);
        }
    }
    CHECK(small.swapper.stats().host_pages_used == 3);
    CHECK(small.swapper.stats().disk_pages_used == 1);
    for (TokenId token = 1; token <= 4; ++token) CHECK(small.loadable({token, token}) == 1);
}

}  // namespace
}  // namespace troupe
