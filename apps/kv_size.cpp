#include "apps/kv_size.hpp"

#include <algorithm>
#include <limits>
#include <string>

#include "conf/values.hpp"

namespace troupe {
namespace {

constexpr std::uint64_t when_memory_is_unknown = 1ULL << 30;

Error too_large(const std::string& flag, std::uint64_t bytes, std::uint64_t available) {
    return invalid_argument(flag + ": the KV cache would take " + format_size(bytes) + ", but only " +
                                format_size(available) + " of memory are available; make it smaller",
                            flag);
}

}  // namespace

Result<KvSize> choose_kv_size(const EngineConfig& config, std::uint64_t bytes_per_block,
                              std::uint32_t max_model_len, std::optional<std::uint64_t> available_bytes) {
    const std::uint64_t block_size = config.block_size;
    const std::uint64_t blocks_per_sequence = (max_model_len + block_size - 1) / block_size;
    std::uint64_t blocks = config.kv_blocks;
    std::string flag = "--kv-blocks";
    if (blocks == 0 && config.kv_memory != 0) {
        flag = "--kv-memory";
        blocks = config.kv_memory / bytes_per_block;
        if (blocks == 0) {
            return invalid_argument("--kv-memory: " + format_size(config.kv_memory) +
                                        " is less than one block, which takes " +
                                        format_size(bytes_per_block),
                                    flag);
        }
    } else if (blocks == 0) {
        const std::uint64_t quarter = available_bytes ? *available_bytes / 4 : when_memory_is_unknown;
        flag = "--max-num-seqs";
        blocks = std::clamp<std::uint64_t>(quarter / bytes_per_block, 1,
                                           config.max_num_seqs * blocks_per_sequence);
    }
    // A token's place in the pool is a 32-bit number.
    const std::uint64_t most =
        static_cast<std::uint64_t>(std::numeric_limits<std::int32_t>::max()) / block_size;
    if (blocks > most) {
        return invalid_argument(flag + ": a pool has at most " + std::to_string(most) + " blocks of " +
                                    std::to_string(block_size) + " tokens; make it smaller",
                                flag);
    }
    const std::uint64_t bytes = blocks * bytes_per_block;
    if (available_bytes && bytes > *available_bytes) return too_large(flag, bytes, *available_bytes);
    return KvSize{static_cast<std::uint32_t>(blocks), bytes,
                  static_cast<double>(blocks) / static_cast<double>(blocks_per_sequence)};
}

}  // namespace troupe
