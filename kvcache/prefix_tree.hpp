// The tree of cached prefixes: a node is a full block of tokens after those of its ancestors, and names the
// block of the pool that holds their KV. What has the same tokens under the same salt has the same node,
// whoever computed it. Knows neither references nor steps: KvCacheManager does.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/ids.hpp"
#include "core/prefix_match.hpp"

namespace troupe {

// 64 bits of tokens that come after those which `before` stands for. A collision costs time only: nodes are
// compared by their tokens.
using PrefixHash = std::uint64_t (*)(std::uint64_t before, std::span<const TokenId> tokens);
std::uint64_t hash_prefix(std::uint64_t before, std::span<const TokenId> tokens);

// Each salt has a root of its own and shares nothing with the others; salts are compared whole. A root lives
// as long as it has children.
class PrefixTree {
  public:
    using Node = std::uint32_t;  // given out again once removed; ids are not
    static constexpr Node none = ~Node{0};

    PrefixTree(std::uint32_t block_size, std::uint32_t num_blocks, PrefixHash hash);

    // Finds the longest chain of nodes that begins `tokens`, going on from where `match` ended if that is
    // still there. While nothing has changed there it only looks whether that is so. Returns how many blocks
    // it looked up.
    std::uint32_t match(PrefixMatch& match, std::string_view salt, std::span<const TokenId> tokens) const;
    // Nothing has changed there: match() would look nothing up.
    bool is_current(const PrefixMatch& match) const {
        return match.version == versions_[match.next_key % versions_.size()] && is_there(match);
    }
    // What was found has not been removed since.
    bool is_there(const PrefixMatch& match) const {
        return match.node == none || nodes_[match.node].id == match.node_id;
    }

    // The match that ends at `node`, `depth` blocks into the tokens, whether more is known of them or not.
    PrefixMatch match_at(Node node, std::uint32_t depth, std::string_view salt,
                         std::span<const TokenId> tokens) const;

    // The child of `parent` (none: of the salt's root) with exactly these tokens, a full block: the one that
    // is there, or else a new one with this block. Precondition: the block has no node.
    Node find_or_insert(Node parent, std::string_view salt, std::span<const TokenId> tokens, BlockId block);
    // Precondition: it has no children.
    void remove(Node node);
    // The node's KV is now in another block, which has no node.
    void rebind(Node node, BlockId block);
    void clear();

    BlockId block(Node node) const { return nodes_[node].block; }
    Node node_of(BlockId block) const { return by_block_[static_cast<std::size_t>(block)]; }  // or none
    Node parent(Node node) const;  // none: it is a salt's first
    bool has_children(Node node) const { return nodes_[node].num_children > 0; }
    std::uint32_t num_nodes() const { return num_nodes_; }  // roots not counted

    // Throws std::logic_error if links, counts and index contradict each other.
    void check_invariants() const;

  private:
    struct Entry {
        std::uint64_t id = 0;   // 0: unused
        std::uint64_t key = 0;  // of its tokens after its parent's; of a root: of its salt
        Node parent = none;     // of a root: none
        Node next = none;       // in the same bucket
        std::uint32_t num_children = 0;
        BlockId block = -1;
        const std::string* salt = nullptr;  // of a root
    };
    bool is_root(Node node) const { return nodes_[node].salt != nullptr; }
    Node find_root(std::string_view salt) const;
    Node find_child(Node parent, std::uint64_t key, std::span<const TokenId> tokens) const;
    std::uint64_t key(Node parent, std::string_view salt, std::span<const TokenId> tokens) const;
    std::span<const TokenId> block_of(std::span<const TokenId> tokens, std::size_t index) const;
    std::span<const TokenId> tokens(Node node) const {
        return std::span(tokens_).subspan(std::size_t{node} * block_size_, block_size_);
    }
    Node& bucket(std::uint64_t key) { return buckets_[key & (buckets_.size() - 1)]; }
    void grow_buckets();
    Node root_of(std::string_view salt);
    Node make_entry();
    void free_entry(Node node);

    std::uint32_t block_size_;
    PrefixHash hash_;
    std::vector<Entry> nodes_;     // roots, too
    std::vector<TokenId> tokens_;  // [nodes_, block_size_]
    std::vector<Node> unused_;
    std::vector<Node> by_block_;
    std::map<std::string, Node, std::less<>> roots_;
    std::vector<Node> buckets_ = {none};  // a power of two; the first whose key falls there
    std::uint32_t num_nodes_ = 0;
    std::uint64_t last_id_ = 0;
    // One goes up with every new node whose key falls there, so that of many who wait for one to come only
    // those look again for whom it may have come.
    std::array<std::uint64_t, 1024> versions_;
};

}  // namespace troupe
