// What KV lies below the device's pool: pages of host memory and of a file, each with a block's KV, found by
// their tokens as the blocks of the pool are. Pure bookkeeping; the memory manager moves the bytes.
//
// A page is free, held by open moves, or idle: it waits for somebody who wants what is in it, and is given
// up, the one that was used least recently first, when its tier has no free one. A page without the pages
// before it is of no use, so whoever gives one up gives up all that come after it.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/block_move.hpp"
#include "core/ids.hpp"
#include "core/prefix_match.hpp"
#include "kvcache/block_pool.hpp"
#include "kvcache/prefix_tree.hpp"

namespace troupe {

struct SwapTiersOptions {
    std::uint32_t host_pages = 0;
    std::uint32_t disk_pages = 0;
    std::uint32_t block_size = 16;  // tokens
    PrefixHash hash = hash_prefix;  // tests give one that collides
};

// Owned by one Scheduler, not thread-safe.
class SwapTiers {
  public:
    using Page = BlockId;  // of both tiers, those of host memory first

    explicit SwapTiers(const SwapTiersOptions& options);

    bool has(Tier tier) const { return pool(tier).num_blocks() > 0; }
    bool exist() const { return has(Tier::host) || has(Tier::disk); }
    Tier tier(Page page) const { return page < host_pages_ ? Tier::host : Tier::disk; }
    BlockPlace place(Page page) const { return {tier(page), index(page)}; }

    // Brings `match` up to date with what lies here of the beginning of `tokens`, as KvCacheManager::match
    // does.
    void match(PrefixMatch& match, std::string_view salt, std::span<const TokenId> tokens) const {
        tree_.match(match, salt, tokens);
    }
    // The pages found, from the first-th block on. Precondition: `match` is up to date.
    std::vector<Page> pages(const PrefixMatch& match, std::uint32_t first = 0) const;
    // They are wanted: they stay for longer than others.
    void touch(const PrefixMatch& match);

    // A held page of the tier, which forgets another if it must. Nothing: all are held.
    std::optional<Page> take(Tier tier);
    // Holds the idle page of the tier that was used least recently; nothing if none is idle.
    std::optional<Page> hold_oldest(Tier tier);
    void hold(Page page) { pool(tier(page)).share(index(page)); }
    void drop(Page page) { pool(tier(page)).drop(index(page), 0); }

    // The held page has the KV of the last block of `tokens`, which are whole blocks: it is found from now
    // on, unless another page has that too, or those before it have gone. `before`: fresh, or that of an
    // earlier call with a beginning of these tokens and this salt, so that they are not looked up anew.
    void remember(std::string_view salt, std::span<const TokenId> tokens, Page page, PrefixMatch& before);
    // What is in it is not to be found any more, nor what comes after it.
    void forget(Page page);
    void forget_all();
    // What `from` has is in the held page `to` now, and `from` has nothing.
    void rebind(Page from, Page to);

    std::uint32_t num_pages(Tier tier) const { return pool(tier).num_blocks(); }
    std::uint32_t num_free(Tier tier) const { return pool(tier).num_free(); }
    // With KV that can be found.
    std::uint32_t num_idle(Tier tier) const { return pool(tier).num_idle(); }

    // For tests: throws std::logic_error if pools and tree contradict each other.
    void check_invariants() const;

  private:
    using Node = PrefixTree::Node;

    BlockPool& pool(Tier tier) { return tier == Tier::host ? host_ : disk_; }
    const BlockPool& pool(Tier tier) const { return tier == Tier::host ? host_ : disk_; }
    BlockId index(Page page) const { return page < host_pages_ ? page : page - host_pages_; }
    Page page(Tier tier, BlockId index) const { return tier == Tier::host ? index : index + host_pages_; }
    Page num_all() const { return host_pages_ + static_cast<Page>(disk_.num_blocks()); }
    std::vector<Page> after(Node node) const;
    void remove(Page page);

    std::uint32_t block_size_;
    Page host_pages_;
    BlockPool host_;
    BlockPool disk_;
    PrefixTree tree_;  // its blocks are our pages
};

}  // namespace troupe
