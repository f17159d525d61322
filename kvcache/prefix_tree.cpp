#include "kvcache/prefix_tree.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace troupe {
namespace {

// The last step of SplitMix64 (Steele, Lea, Flood 2014): every bit of the input changes half of the output's.
std::uint64_t mix(std::uint64_t x) {
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
    return x ^ (x >> 31);
}

std::uint64_t hash_salt(std::string_view salt) {
    std::uint64_t hash = mix(salt.size() + 1);
    for (const char c : salt) hash = mix(hash ^ static_cast<unsigned char>(c)) + 0x9E3779B97F4A7C15ULL;
    return hash;
}

}  // namespace

// Every prompt is hashed once: two tokens at a time, and mixed well only at both ends.
std::uint64_t hash_prefix(std::uint64_t before, std::span<const TokenId> tokens) {
    std::uint64_t hash = mix(before + (tokens.size() + 1) * 0x9E3779B97F4A7C15ULL);
    const auto add = [&hash](std::uint64_t word) {
        hash = (hash ^ word) * 0xBF58476D1CE4E5B9ULL;
        hash ^= hash >> 32;
    };
    std::size_t i = 0;
    for (; i + 2 <= tokens.size(); i += 2)
        add(static_cast<std::uint32_t>(tokens[i]) | std::uint64_t{static_cast<std::uint32_t>(tokens[i + 1])}
                                                        << 32);
    if (i < tokens.size()) add(static_cast<std::uint32_t>(tokens[i]));
    hash = mix(hash);
    return hash == 0 ? 1 : hash;
}

PrefixTree::PrefixTree(std::uint32_t block_size, std::uint32_t num_blocks, PrefixHash hash)
    : block_size_(block_size), hash_(hash), by_block_(num_blocks, none) {
    versions_.fill(1);
}

PrefixTree::Node PrefixTree::find_root(std::string_view salt) const {
    const auto found = roots_.find(salt);
    return found == roots_.end() ? none : found->second;
}

std::uint64_t PrefixTree::key(Node parent, std::string_view salt, std::span<const TokenId> tokens) const {
    const bool first = parent == none || is_root(parent);
    return hash_(first ? hash_salt(salt) : nodes_[parent].id, tokens);
}

PrefixTree::Node PrefixTree::find_child(Node parent, std::uint64_t key,
                                        std::span<const TokenId> wanted) const {
    if (parent == none) return none;
    for (Node node = buckets_[key & (buckets_.size() - 1)]; node != none; node = nodes_[node].next) {
        if (nodes_[node].key == key && nodes_[node].parent == parent &&
            std::ranges::equal(tokens(node), wanted))
            return node;
    }
    return none;
}

std::uint32_t PrefixTree::match(PrefixMatch& match, std::string_view salt,
                                std::span<const TokenId> wanted) const {
    if (is_current(match)) return 0;
    std::uint64_t next_key = match.next_key;  // known from before, unless it is 0
    if (match.node == none || !is_there(match)) {
        match = {.node = find_root(salt)};
        next_key = 0;
    }
    for (std::uint32_t num_looked_up = 1;; ++num_looked_up) {
        const auto next = block_of(wanted, match.num_blocks);
        if (next_key == 0 && !next.empty()) next_key = key(match.node, salt, next);
        match.next_key = std::exchange(next_key, 0);
        const Node child = next.size() < block_size_ ? none : find_child(match.node, match.next_key, next);
        if (child == none) {
            match.node_id = match.node == none ? 0 : nodes_[match.node].id;
            match.version = versions_[match.next_key % versions_.size()];
            return num_looked_up;
        }
        match.node = child;
        ++match.num_blocks;
        match.counted = 0;
    }
}

PrefixMatch PrefixTree::match_at(Node node, std::uint32_t depth, std::string_view salt,
                                 std::span<const TokenId> known) const {
    const auto next = block_of(known, depth);
    return {.num_blocks = depth, .next_key = next.empty() ? 0 : key(node, salt, next), .node = node};
}

// What there is of it.
std::span<const TokenId> PrefixTree::block_of(std::span<const TokenId> all, std::size_t index) const {
    const std::size_t begin = index * block_size_;
    return begin >= all.size() ? std::span<const TokenId>()
                               : all.subspan(begin, std::min<std::size_t>(block_size_, all.size() - begin));
}

PrefixTree::Node PrefixTree::make_entry() {
    if (unused_.empty()) {
        unused_.push_back(static_cast<Node>(nodes_.size()));
        nodes_.emplace_back();
        tokens_.resize(tokens_.size() + block_size_);
    }
    const Node node = unused_.back();
    unused_.pop_back();
    nodes_[node] = {};
    nodes_[node].id = ++last_id_;
    return node;
}

void PrefixTree::free_entry(Node node) {
    nodes_[node].id = 0;
    unused_.push_back(node);
}

// Made if there is none.
PrefixTree::Node PrefixTree::root_of(std::string_view salt) {
    const Node found = find_root(salt);
    if (found != none) return found;
    const Node root = make_entry();
    const auto place = roots_.emplace(salt, root).first;
    nodes_[root].salt = &place->first;
    nodes_[root].key = hash_salt(salt);
    return root;
}

PrefixTree::Node PrefixTree::find_or_insert(Node parent, std::string_view salt,
                                            std::span<const TokenId> wanted, BlockId block) {
    if (parent == none) parent = root_of(salt);
    const std::uint64_t wanted_key = key(parent, salt, wanted);
    const Node found = find_child(parent, wanted_key, wanted);
    if (found != none) return found;
    const Node node = make_entry();
    Entry& entry = nodes_[node];
    entry.key = wanted_key;
    entry.parent = parent;
    entry.block = block;
    std::ranges::copy(wanted, tokens_.begin() + static_cast<std::ptrdiff_t>(std::size_t{node} * block_size_));
    entry.next = std::exchange(bucket(entry.key), node);
    by_block_[static_cast<std::size_t>(block)] = node;
    ++nodes_[parent].num_children;
    ++versions_[entry.key % versions_.size()];
    if (2 * ++num_nodes_ > buckets_.size()) grow_buckets();  // at least half are empty
    return node;
}

void PrefixTree::grow_buckets() {
    buckets_.assign(2 * buckets_.size(), none);
    for (Node node = 0; node < nodes_.size(); ++node) {
        if (nodes_[node].id == 0 || is_root(node)) continue;
        nodes_[node].next = std::exchange(bucket(nodes_[node].key), node);
    }
}

void PrefixTree::remove(Node node) {
    const Entry& entry = nodes_[node];
    Node* place = &bucket(entry.key);
    while (*place != node) place = &nodes_[*place].next;
    *place = entry.next;
    by_block_[static_cast<std::size_t>(entry.block)] = none;
    const Node parent = entry.parent;
    free_entry(node);
    --num_nodes_;
    if (--nodes_[parent].num_children > 0 || !is_root(parent)) return;
    roots_.erase(roots_.find(*nodes_[parent].salt));
    free_entry(parent);
}

void PrefixTree::rebind(Node node, BlockId block) {
    by_block_[static_cast<std::size_t>(nodes_[node].block)] = none;
    by_block_[static_cast<std::size_t>(block)] = node;
    nodes_[node].block = block;
}

void PrefixTree::clear() {
    for (Node node = 0; node < nodes_.size(); ++node) {
        if (nodes_[node].id != 0) free_entry(node);
    }
    std::fill(by_block_.begin(), by_block_.end(), none);
    roots_.clear();
    std::fill(buckets_.begin(), buckets_.end(), none);
    num_nodes_ = 0;
}

PrefixTree::Node PrefixTree::parent(Node node) const {
    const Node parent = nodes_[node].parent;
    return parent == none || is_root(parent) ? none : parent;
}

void PrefixTree::check_invariants() const {
    const auto require = [](bool holds, const char* what) {
        if (!holds) throw std::logic_error(std::string("prefix tree: ") + what);
    };
    std::vector<std::uint32_t> children(nodes_.size(), 0);
    std::uint32_t num_nodes = 0;
    std::size_t num_roots = 0;
    for (Node node = 0; node < nodes_.size(); ++node) {
        const Entry& entry = nodes_[node];
        if (entry.id == 0) continue;
        if (is_root(node)) {
            require(find_root(*entry.salt) == node, "a root is not found by its salt");
            ++num_roots;
            continue;
        }
        ++num_nodes;
        require(entry.parent < nodes_.size() && nodes_[entry.parent].id != 0, "a node has no parent");
        require(nodes_[entry.parent].id < entry.id, "a node is older than its parent");
        ++children[entry.parent];
        require(node_of(entry.block) == node, "a node is not found by its block");
        require(find_child(entry.parent, entry.key, tokens(node)) == node,
                "a node is not found by its tokens");
    }
    require(num_nodes == num_nodes_ && num_roots == roots_.size(), "nodes are not counted right");
    for (Node node = 0; node < nodes_.size(); ++node) {
        if (nodes_[node].id == 0) continue;
        require(nodes_[node].num_children == children[node], "children are not counted right");
        require(!is_root(node) || children[node] > 0, "a root has outlived its children");
    }
    const auto bound = std::count_if(by_block_.begin(), by_block_.end(), [](Node n) { return n != none; });
    require(bound == num_nodes_, "a block names a node that is not there");
}

}  // namespace troupe
