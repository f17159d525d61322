#include "apps/kv_size.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <string>

#include "conf/values.hpp"

namespace troupe {
namespace {

constexpr std::uint64_t when_memory_is_unknown = 1ULL << 30;
constexpr std::uint64_t most_pages = std::numeric_limits<std::int32_t>::max();

Error too_large(const std::string& flag, std::uint64_t bytes, std::uint64_t available) {
    return invalid_argument(flag + ": the KV cache would take " + format_size(bytes) + ", but only " +
                                format_size(available) + " of memory are available; make it smaller",
                            flag);
}

std::uint64_t blocks_per_sequence(const EngineConfig& config, const KvNeed& need) {
    return (need.max_model_len + config.block_size - 1) / config.block_size;
}

// Divides memory so that all get the same number of blocks, but none more than its most, which leaves more
// for the others.
std::vector<std::uint64_t> share(std::uint64_t memory, const std::vector<KvNeed>& needs,
                                 const std::vector<std::uint64_t>& most) {
    std::vector<std::uint64_t> blocks(needs.size(), 0);
    std::vector<std::size_t> open(needs.size());
    std::iota(open.begin(), open.end(), 0);
    while (!open.empty()) {
        std::uint64_t cost = 0;  // of one block for each
        for (const std::size_t i : open) cost += needs[i].bytes_per_block;
        const std::uint64_t each = memory / cost;
        const auto is_served = [&](std::size_t i) { return most[i] <= each; };
        const bool nobody = std::none_of(open.begin(), open.end(), is_served);
        for (const std::size_t i : open) {
            if (!nobody && !is_served(i)) continue;
            blocks[i] = std::min(most[i], each);
            memory -= blocks[i] * needs[i].bytes_per_block;
        }
        if (nobody) break;
        std::erase_if(open, is_served);
    }
    return blocks;
}

// How many blocks each gets, and which flag says so.
struct Division {
    std::string flag;
    std::vector<std::uint64_t> blocks;
};

Result<Division> divide(const EngineConfig& config, const std::vector<KvNeed>& needs,
                        std::optional<std::uint64_t> available_bytes) {
    std::vector<std::uint64_t> usable;
    for (const KvNeed& need : needs)
        usable.push_back(config.max_num_seqs * blocks_per_sequence(config, need));
    if (config.kv_blocks != 0)
        return Division{"--kv-blocks", std::vector<std::uint64_t>(needs.size(), config.kv_blocks)};
    if (config.kv_memory == 0) {
        const std::uint64_t quarter = available_bytes ? *available_bytes / 4 : when_memory_is_unknown;
        Division division{"--max-num-seqs", share(quarter, needs, usable)};
        for (std::uint64_t& one : division.blocks) one = std::max<std::uint64_t>(one, 1);
        return division;
    }
    if (needs.size() == 1) usable = {std::numeric_limits<std::uint64_t>::max()};  // it gets what was said
    Division division{"--kv-memory", share(config.kv_memory, needs, usable)};
    if (std::count(division.blocks.begin(), division.blocks.end(), 0) > 0) {
        std::uint64_t least = 0;
        for (const KvNeed& need : needs) least += need.bytes_per_block;
        return invalid_argument("--kv-memory: " + format_size(config.kv_memory) +
                                    " is less than one block for each model, which takes " +
                                    format_size(least),
                                "--kv-memory");
    }
    return division;
}

// The same when some have memory of their own: the others share what that leaves.
Result<Division> divide_with_own(const EngineConfig& config, const std::vector<KvNeed>& needs,
                                 std::optional<std::uint64_t> available_bytes) {
    std::vector<KvNeed> sharing;
    for (const KvNeed& need : needs) {
        if (need.own_memory == 0) sharing.push_back(need);
        if (available_bytes) *available_bytes -= std::min(*available_bytes, need.own_memory);
    }
    auto division = divide(config, sharing, available_bytes);
    if (!division || sharing.size() == needs.size()) return division;
    Division all{"--kv-memory", {}};
    auto shared = division->blocks.begin();
    for (const KvNeed& need : needs) {
        all.blocks.push_back(need.own_memory == 0 ? *shared++ : need.own_memory / need.bytes_per_block);
        if (all.blocks.back() == 0) {
            return invalid_argument("--kv-memory: " + format_size(need.own_memory) +
                                        " is less than one block of its model, which takes " +
                                        format_size(need.bytes_per_block),
                                    "--kv-memory");
        }
    }
    return all;
}

}  // namespace

Result<std::vector<KvSize>> choose_kv_sizes(const EngineConfig& config, const std::vector<KvNeed>& needs,
                                            std::optional<std::uint64_t> available_bytes) {
    const auto division = divide_with_own(config, needs, available_bytes);
    if (!division) return division.error();
    // A token's place in the pool is a 32-bit number.
    const std::uint64_t most =
        static_cast<std::uint64_t>(std::numeric_limits<std::int32_t>::max()) / config.block_size;
    std::vector<KvSize> sizes;
    std::uint64_t total = 0;
    for (std::size_t i = 0; i < needs.size(); ++i) {
        const std::uint64_t blocks = division->blocks[i];
        if (blocks > most) {
            return invalid_argument(division->flag + ": a pool has at most " + std::to_string(most) +
                                        " blocks of " + std::to_string(config.block_size) +
                                        " tokens; make it smaller",
                                    division->flag);
        }
        const std::uint64_t bytes = blocks * needs[i].bytes_per_block;
        total += bytes;
        const auto each = static_cast<double>(blocks_per_sequence(config, needs[i]));
        sizes.push_back({static_cast<std::uint32_t>(blocks), bytes, static_cast<double>(blocks) / each});
    }
    if (available_bytes && total > *available_bytes)
        return too_large(division->flag, total, *available_bytes);
    return sizes;
}

Result<SwapOptions> choose_swap(const EngineConfig& config, const std::vector<KvNeed>& needs,
                                const std::vector<KvSize>& sizes,
                                std::optional<std::uint64_t> available_bytes) {
    std::uint64_t cost = 0, pools = 0;  // of one block for each
    for (const KvNeed& need : needs) cost += need.bytes_per_block;
    for (const KvSize& size : sizes) pools += size.bytes;
    const auto blocks = [&](std::uint64_t bytes) {
        return static_cast<std::uint32_t>(std::min<std::uint64_t>(bytes / cost, most_pages));
    };
    if (available_bytes && config.swap_space > 0 && pools + config.swap_space > *available_bytes) {
        return invalid_argument("--swap-space: " + format_size(config.swap_space) + " beside a KV cache of " +
                                    format_size(pools) + " is more than the " +
                                    format_size(*available_bytes) +
                                    " of memory that are available; make it smaller",
                                "--swap-space");
    }
    if (config.swap_space > 0 && blocks(config.swap_space) == 0) {
        return invalid_argument("--swap-space: " + format_size(config.swap_space) +
                                    " is less than one block for each model, which takes " +
                                    format_size(cost),
                                "--swap-space");
    }
    SwapOptions swap;
    swap.host_pages = blocks(config.swap_space);
    if (!config.swap_path.empty()) swap.disk_pages = blocks(config.swap_disk_space);
    swap.directory = config.swap_path;
    return swap;
}

}  // namespace troupe
