#include "kvcache/swap_tiers.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace troupe {

SwapTiers::SwapTiers(const SwapTiersOptions& options)
    : block_size_(options.block_size),
      host_pages_(static_cast<Page>(options.host_pages)),
      host_(options.host_pages),
      disk_(options.disk_pages),
      tree_(options.block_size, options.host_pages + options.disk_pages, options.hash) {}

std::vector<SwapTiers::Page> SwapTiers::pages(const PrefixMatch& match, std::uint32_t first) const {
    std::vector<Page> found(match.num_blocks - std::min(first, match.num_blocks));
    Node node = match.node;
    for (std::size_t i = found.size(); i-- > 0; node = tree_.parent(node)) found[i] = tree_.block(node);
    return found;
}

// From the end, so that those before are given up later.
void SwapTiers::touch(const PrefixMatch& match) {
    Node node = match.num_blocks == 0 ? PrefixTree::none : match.node;
    for (; node != PrefixTree::none; node = tree_.parent(node)) {
        hold(tree_.block(node));
        drop(tree_.block(node));
    }
}

std::optional<SwapTiers::Page> SwapTiers::take(Tier tier) {
    BlockPool& from = pool(tier);
    if (from.num_free() == 0) {
        if (from.num_idle() == 0) return std::nullopt;
        forget(page(tier, from.oldest_idle()));
    }
    return page(tier, from.take());
}

std::optional<SwapTiers::Page> SwapTiers::hold_oldest(Tier tier) {
    if (pool(tier).num_idle() == 0) return std::nullopt;
    const Page oldest = page(tier, pool(tier).oldest_idle());
    hold(oldest);
    return oldest;
}

void SwapTiers::remember(std::string_view salt, std::span<const TokenId> tokens, Page page,
                         PrefixMatch& before) {
    const auto wanted = tokens.first(tokens.size() - block_size_), own = tokens.last(block_size_);
    before.version = 0;  // there are more tokens to look for than last time
    tree_.match(before, salt, wanted);
    if (before.num_blocks * block_size_ != wanted.size()) return;
    const Node parent = before.num_blocks == 0 ? PrefixTree::none : before.node;
    const Node node = tree_.find_or_insert(parent, salt, own, page);
    if (tree_.block(node) == page) pool(tier(page)).keep(index(page));
}

void SwapTiers::forget(Page page) {
    const Node node = tree_.node_of(page);
    if (node == PrefixTree::none) return;
    for (const Page later : after(node)) remove(later);
    remove(page);
}

// The pages that come after the node's, the last ones first.
std::vector<SwapTiers::Page> SwapTiers::after(Node node) const {
    std::vector<Page> found;
    if (!tree_.has_children(node)) return found;
    std::vector<std::pair<std::uint32_t, Page>> by_depth;
    for (Page page = 0; page < num_all(); ++page) {
        std::uint32_t depth = 0;
        Node above = tree_.node_of(page);
        for (; above != PrefixTree::none && above != node; above = tree_.parent(above)) ++depth;
        if (above == node && depth > 0) by_depth.emplace_back(depth, page);
    }
    std::sort(by_depth.rbegin(), by_depth.rend());
    for (const auto& [depth, page] : by_depth) found.push_back(page);
    return found;
}

void SwapTiers::remove(Page page) {
    tree_.remove(tree_.node_of(page));
    pool(tier(page)).unkeep(index(page));
}

void SwapTiers::forget_all() {
    tree_.clear();
    for (Page page = 0; page < num_all(); ++page) pool(tier(page)).unkeep(index(page));
}

void SwapTiers::rebind(Page from, Page to) {
    const Node node = tree_.node_of(from);
    if (node == PrefixTree::none) return;
    tree_.rebind(node, to);
    pool(tier(to)).keep(index(to));
    pool(tier(from)).unkeep(index(from));
}

void SwapTiers::check_invariants() const {
    host_.check_invariants();
    disk_.check_invariants();
    tree_.check_invariants();
    std::uint32_t kept = 0;
    for (Page page = 0; page < num_all(); ++page) {
        const bool found = tree_.node_of(page) != PrefixTree::none;
        if (found != pool(tier(page)).is_kept(index(page)))
            throw std::logic_error("swap tiers: tree and pools keep different pages");
        kept += found ? 1 : 0;
    }
    if (kept != tree_.num_nodes()) throw std::logic_error("swap tiers: a node has no page");
}

}  // namespace troupe
