// How many KV blocks a pool gets.
#pragma once
#include <cstdint>
#include <optional>

#include "conf/config.hpp"
#include "core/status.hpp"

namespace troupe {

struct KvSize {
    std::uint32_t num_blocks = 0;
    std::uint64_t bytes = 0;
    double concurrency = 0;  // sequences of max_model_len that fit at the same time
};

// What --kv-blocks or --kv-memory say; without them a quarter of available memory (1 GiB if that is unknown),
// at most what max_num_seqs sequences of max_model_len need. Errors name the flag to change.
Result<KvSize> choose_kv_size(const EngineConfig& config, std::uint64_t bytes_per_block,
                              std::uint32_t max_model_len, std::optional<std::uint64_t> available_bytes);

}  // namespace troupe
