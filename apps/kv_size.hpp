// How many KV blocks the models' pools get.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "actors/swap_options.hpp"
#include "conf/config.hpp"
#include "core/status.hpp"

namespace troupe {

struct KvSize {
    std::uint32_t num_blocks = 0;
    std::uint64_t bytes = 0;
    double concurrency = 0;  // sequences of max_model_len that fit at the same time
};

// What a model's blocks cost, and how long its sequences get.
struct KvNeed {
    std::uint64_t bytes_per_block = 0;
    std::uint32_t max_model_len = 0;
    std::uint64_t own_memory = 0;  // --kv-memory NAME=SIZE; 0: it shares with the others
};

// One size for each model. --kv-blocks is what each gets; --kv-memory, without it a quarter of available
// memory (1 GiB if that is unknown), is what all get together, so that each can hold the same number of
// tokens; those with memory of their own have that and no share. None gets more than max_num_seqs sequences
// of max_model_len need unless it was asked for; what that leaves is the others'. Errors name the flag to
// change.
Result<std::vector<KvSize>> choose_kv_sizes(const EngineConfig& config, const std::vector<KvNeed>& needs,
                                            std::optional<std::uint64_t> available_bytes);

// How many blocks lie below each model's pool: every model gets as many as the others. An error if
// --swap-space and the pools together are more than available memory.
Result<SwapOptions> choose_swap(const EngineConfig& config, const std::vector<KvNeed>& needs,
                                const std::vector<KvSize>& sizes,
                                std::optional<std::uint64_t> available_bytes);

}  // namespace troupe
