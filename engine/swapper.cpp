#include "engine/swapper.hpp"

#include <algorithm>
#include <set>
#include <stdexcept>
#include <utility>

namespace troupe {
namespace {

constexpr TimeUs forget_rate_after = 60'000'000;  // then a tier that was slow is given another chance
constexpr TimeUs closed_for = 60'000'000;         // a tier that failed
constexpr double newest_weighs = 0.25;
constexpr std::uint32_t most_spilled_at_once = 16;

}  // namespace

double Swapper::Rate::at(TimeUs now) const {
    return measured == 0 || now - measured > forget_rate_after ? initial_us : us;
}

void Swapper::Rate::observe(double us_per_block, TimeUs now) {
    us = at(now) + newest_weighs * (us_per_block - at(now));
    measured = std::max<TimeUs>(now, 1);
}

Swapper::Swapper(const SchedulerOptions& options, KvCacheManager& kv, const CostModel& costs)
    : kv_(kv),
      costs_(costs),
      tiers_({options.host_pages, options.disk_pages, options.block_size}),
      block_size_(options.block_size),
      chunk_(options.max_num_batched_tokens) {
    for (const bool up : {false, true}) {
        rate(Tier::host, up).initial_us = options.host_us_per_block;
        rate(Tier::disk, up).initial_us = options.disk_us_per_block;
    }
}

// Of the KV of tokens [begin, end), read in whole chunks beside other work.
double Swapper::compute_us(std::uint64_t begin, std::uint64_t end) const {
    const StepCost cost = costs_.cost();
    double context = 0;
    for (std::uint64_t at = begin; at < end; at += chunk_)
        context += static_cast<double>(std::min<std::uint64_t>(at + chunk_, end));
    return cost.per_token_us * static_cast<double>(end - begin) + cost.per_context_token_us * context;
}

void Swapper::save(std::string_view salt, std::span<const TokenId> tokens, Wish wish, TimeUs now) {
    if (!enabled()) return;
    PrefixMatch above, below;
    kv_.match(above, salt, tokens);
    tiers_.match(below, salt, tokens);
    tiers_.touch(below);
    const Tier tier = usable(Tier::host, now) ? Tier::host : Tier::disk;
    if (!usable(tier, now) || above.num_blocks <= below.num_blocks) return;
    // A disk that hangs may hold half of the pool at the most.
    const auto held = static_cast<std::uint32_t>(held_.size());
    const std::uint32_t most = std::max(kv_.num_blocks() / 2, 1U);
    if (held + below.num_blocks >= most) return;
    std::uint32_t end = std::min(above.num_blocks, most - held);
    const std::uint64_t begin_token = std::uint64_t{below.num_blocks} * block_size_;
    const double moving = (rate(tier, false).at(now) + rate(tier, true).at(now)) * (end - below.num_blocks);
    if (wish == Wish::by_cost && moving >= compute_us(begin_token, std::uint64_t{end} * block_size_)) return;

    Job job{.kind = Kind::save, .salt = std::string(salt), .before = tiers_.pages(below)};
    for (const Page page : job.before) tiers_.hold(page);
    while (below.num_blocks + job.num_blocks() < end) {
        const auto page = tiers_.take(tier);
        if (!page) break;
        job.pages.push_back(*page);
    }
    if (job.pages.empty()) return drop(job.before);
    end = below.num_blocks + job.num_blocks();
    job.tokens.assign(tokens.begin(),
                      tokens.begin() + static_cast<std::ptrdiff_t>(std::size_t{end} * block_size_));
    PrefixMatch saved;
    kv_.match(saved, salt, job.tokens);
    job.table = kv_.take(saved);
    const std::vector<BlockId>& blocks = kv_.block_table(job.table);
    for (const BlockId block : blocks) ++held_[block];
    std::vector<BlockMove> moves;
    for (std::uint32_t i = 0; i < job.num_blocks(); ++i) {
        moves.push_back({{Tier::device, blocks[below.num_blocks + i]}, tiers_.place(job.pages[i])});
    }
    open(std::move(job), std::move(moves));
}

std::uint32_t Swapper::loadable(PrefixMatch& below, const PrefixMatch& above, std::string_view salt,
                                std::span<const TokenId> tokens, TimeUs now) const {
    if (!enabled()) return 0;
    tiers_.match(below, salt, tokens);
    if (below.num_blocks <= above.num_blocks) return 0;
    double moving = 0;
    for (const Page page : tiers_.pages(below, above.num_blocks))
        moving += rate(tiers_.tier(page), true).at(now);
    const std::uint64_t begin = std::uint64_t{above.num_blocks} * block_size_;
    const std::uint64_t end = std::uint64_t{below.num_blocks} * block_size_;
    return moving < compute_us(begin, end) ? below.num_blocks - above.num_blocks : 0;
}

bool Swapper::load(const PrefixMatch& above, const PrefixMatch& below, std::string_view salt,
                   std::span<const TokenId> tokens, std::uint32_t num_promised) {
    const std::uint32_t count = below.num_blocks - above.num_blocks;
    Job job{
        .kind = Kind::load, .key = above.next_key, .num_promised = num_promised, .salt = std::string(salt)};
    job.table = kv_.take(above);
    if (!kv_.extend(job.table, count * block_size_, 0)) {
        kv_.release(job.table);
        return false;
    }
    job.tokens.assign(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(
                                                           std::size_t{below.num_blocks} * block_size_));
    job.pages = tiers_.pages(below, above.num_blocks);
    for (const Page page : job.pages) tiers_.hold(page);
    std::vector<BlockMove> moves;
    const std::vector<BlockId>& blocks = kv_.block_table(job.table);
    for (std::uint32_t i = 0; i < count; ++i) {
        moves.push_back({tiers_.place(job.pages[i]), {Tier::device, blocks[above.num_blocks + i]}});
    }
    open(std::move(job), std::move(moves));
    return true;
}

bool Swapper::is_loading(const PrefixMatch& above) const {
    return num_block_jobs_ > 0 && std::any_of(jobs_.begin(), jobs_.end(), [&](const auto& job) {
               return job.second.kind == Kind::load && job.second.key == above.next_key;
           });
}

std::uint32_t Swapper::num_promised() const {
    std::uint32_t promised = 0;
    for (const auto& [id, job] : jobs_) promised += job.num_promised;
    return promised;
}

// Keeps an eighth of host memory free for what is saved next, so that it need not push out what could have
// gone to disk.
void Swapper::spill(TimeUs now) {
    if (spilling_ || !tiers_.has(Tier::host) || !usable(Tier::disk, now)) return;
    const std::uint32_t wanted = std::max(tiers_.num_pages(Tier::host) / 8, 1U);
    const std::uint32_t free = tiers_.num_free(Tier::host);
    if (free >= wanted || rate(Tier::disk, true).at(now) >= compute_us(0, block_size_)) return;
    Job job{.kind = Kind::spill};
    std::vector<BlockMove> moves;
    while (job.num_blocks() < std::min(wanted - free, most_spilled_at_once)) {
        const auto from = tiers_.hold_oldest(Tier::host);
        if (!from) break;
        const auto to = tiers_.take(Tier::disk);
        if (!to) {
            tiers_.drop(*from);
            break;
        }
        job.pages.push_back(*from);
        job.targets.push_back(*to);
        moves.push_back({tiers_.place(*from), tiers_.place(*to)});
    }
    if (job.pages.empty()) return;
    spilling_ = true;
    open(std::move(job), std::move(moves));
}

void Swapper::open(Job job, std::vector<BlockMove> moves) {
    if (job.kind != Kind::spill) ++num_block_jobs_;
    moves_.push_back({0, ++last_job_, std::move(moves)});
    jobs_.emplace(last_job_, std::move(job));
}

std::vector<MoveBlocks> Swapper::take_moves(Epoch epoch, TimeUs now) {
    if (enabled()) spill(now);
    for (MoveBlocks& moves : moves_) moves.epoch = epoch;
    return std::exchange(moves_, {});
}

void Swapper::completed(const MoveDone& done, TimeUs now) {
    const auto found = jobs_.find(done.job);
    if (found == jobs_.end()) return;
    Job job = std::move(found->second);
    jobs_.erase(found);
    const std::uint32_t moved = std::min(done.num_moved, job.num_blocks());
    if (job.kind != Kind::spill) --num_block_jobs_;
    totals_.blocks_failed += job.num_blocks() - moved;
    measure(job, done, now);
    if (moved < job.num_blocks() && job.kind != Kind::load) {  // there is no room, or worse
        const bool disk = job.kind == Kind::spill || tiers_.tier(job.pages[moved]) == Tier::disk;
        closed_until_[disk ? 1 : 0] = now + closed_for;
    }
    if (job.kind == Kind::save) end_save(job, moved);
    if (job.kind == Kind::load) end_load(job, moved);
    if (job.kind == Kind::spill) end_spill(job, moved);
}

// A job of both tiers tells of the slower one what the other one's known rate leaves.
void Swapper::measure(const Job& job, const MoveDone& done, TimeUs now) {
    if (done.num_moved < job.num_blocks()) return;
    const bool up = job.kind == Kind::load;
    if (job.kind == Kind::spill)
        return rate(Tier::disk, false).observe(double(done.us) / job.num_blocks(), now);
    std::uint32_t on_host = 0;
    for (const Page page : job.pages) on_host += tiers_.tier(page) == Tier::host ? 1 : 0;
    const std::uint32_t on_disk = job.num_blocks() - on_host;
    if (on_disk == 0) return rate(Tier::host, up).observe(double(done.us) / on_host, now);
    const double rest = double(done.us) - on_host * rate(Tier::host, up).at(now);
    rate(Tier::disk, up).observe(std::max(rest, 0.0) / on_disk, now);
}

void Swapper::end_save(Job& job, std::uint32_t num_moved) {
    totals_.blocks_out += num_moved;
    const std::span<const TokenId> tokens(job.tokens);
    const std::size_t first = tokens.size() / block_size_ - job.num_blocks();
    PrefixMatch before;
    for (std::size_t i = 0; i < num_moved; ++i)
        tiers_.remember(job.salt, tokens.first((first + i + 1) * block_size_), job.pages[i], before);
    drop(job.pages);
    drop(job.before);
    for (const BlockId block : kv_.block_table(job.table)) {
        if (--held_[block] == 0) held_.erase(block);
    }
    kv_.release(job.table);
}

void Swapper::end_load(Job& job, std::uint32_t num_moved) {
    totals_.blocks_in += num_moved;
    const std::size_t missing = job.num_blocks() - num_moved;
    const std::span<const TokenId> tokens(job.tokens);
    kv_.completed(job.table, job.salt, tokens.first(tokens.size() - missing * block_size_));
    kv_.release(job.table);
    if (missing > 0) tiers_.forget(job.pages[num_moved]);  // it is not what it was, or cannot be read
    drop(job.pages);
}

void Swapper::end_spill(Job& job, std::uint32_t num_moved) {
    totals_.blocks_spilled += num_moved;
    spilling_ = false;
    for (std::uint32_t i = 0; i < num_moved; ++i) tiers_.rebind(job.pages[i], job.targets[i]);
    for (const Page page : job.targets) tiers_.drop(page);  // those used least recently come first
    for (const Page page : job.pages) tiers_.drop(page);
}

// From the end: what comes before is given up later.
void Swapper::drop(const std::vector<Page>& pages) {
    for (auto page = pages.rbegin(); page != pages.rend(); ++page) tiers_.drop(*page);
}

void Swapper::lose_pool() {
    for (auto& [id, job] : jobs_) {
        drop(job.pages);
        drop(job.before);
        drop(job.targets);
        if (job.kind != Kind::spill) kv_.release(job.table);
    }
    jobs_.clear();
    moves_.clear();
    held_.clear();
    num_block_jobs_ = 0;
    spilling_ = false;
}

std::uint32_t Swapper::num_coming_free() const {
    std::uint32_t count = 0;
    for (const auto& [block, saves] : held_) count += kv_.references(block) == saves ? 1 : 0;
    return count;
}

double Swapper::us_per_block(TimeUs now) const {
    if (!enabled()) return 0;
    const Tier tier = tiers_.has(Tier::host) ? Tier::host : Tier::disk;
    return (rate(tier, false).at(now) + rate(tier, true).at(now)) / 2;
}

std::vector<BlockId> Swapper::held_blocks() const {
    std::vector<BlockId> held;
    for (const auto& [id, job] : jobs_) {
        if (job.kind == Kind::spill) continue;
        const std::vector<BlockId>& blocks = kv_.block_table(job.table);
        held.insert(held.end(), blocks.begin(), blocks.end());
    }
    return held;
}

std::uint32_t Swapper::num_free_pages() const {
    std::uint32_t pages = 0;
    for (const Tier tier : {Tier::host, Tier::disk}) pages += tiers_.num_free(tier) + tiers_.num_idle(tier);
    return pages;
}

void Swapper::check_invariants() const {
    tiers_.check_invariants();
    const auto require = [](bool holds, const char* what) {
        if (!holds) throw std::logic_error(std::string("swapper: ") + what);
    };
    std::uint32_t block_jobs = 0, spills = 0;
    std::set<Page> written;
    std::map<BlockId, std::uint32_t> held;
    for (const auto& [id, job] : jobs_) {
        ++(job.kind == Kind::spill ? spills : block_jobs);
        for (const Page page : job.kind == Kind::save ? job.pages : job.targets)
            require(written.insert(page).second, "two moves write to a page");
        if (job.kind != Kind::save) continue;
        for (const BlockId block : kv_.block_table(job.table)) ++held[block];
    }
    require(block_jobs == num_block_jobs_ && spills == (spilling_ ? 1 : 0), "jobs are not counted right");
    require(held == held_, "blocks of saves are not counted right");
    for (const auto& [id, job] : jobs_) {
        for (const Page page : job.kind == Kind::save ? job.before : job.pages)
            require(written.count(page) == 0, "a page is read while it is written");
    }
}

SwapStats Swapper::stats() const {
    SwapStats stats = totals_;
    stats.host_pages = tiers_.num_pages(Tier::host);
    stats.host_pages_used = stats.host_pages - tiers_.num_free(Tier::host);
    stats.disk_pages = tiers_.num_pages(Tier::disk);
    stats.disk_pages_used = stats.disk_pages - tiers_.num_free(Tier::disk);
    return stats;
}

}  // namespace troupe
