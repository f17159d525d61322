// How much of a sequence that does not run yet has KV in the cache: a place in the KvCacheManager's tree of
// prefixes. Kept between steps, so that looking again costs nothing while nothing has changed there.
#pragma once
#include <cstdint>

namespace troupe {

// Made and brought up to date by KvCacheManager::match(); a fresh one has found nothing yet.
struct PrefixMatch {
    std::uint32_t num_blocks = 0;  // full blocks found, from the first token on
    // Of the tokens that follow, up to a block of them: two sequences with the same number, not 0, would
    // compute the same. Equal for different tokens once in 2^64.
    std::uint64_t next_key = 0;

    // The rest is the tree's own.
    std::uint32_t node = ~std::uint32_t{0};  // of the last block found
    std::uint64_t node_id = 0;
    std::uint64_t version = 0;  // of next_key; 0: not looked for yet
    std::uint64_t counted = 0;  // when num_unreferenced was
    std::uint32_t num_unreferenced = 0;
};

}  // namespace troupe
