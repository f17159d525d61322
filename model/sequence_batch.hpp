// The ForwardBatch of a single sequence that has a KV pool to itself: for commands and tests that run a model
// without a scheduler.
#pragma once
#include <cstddef>
#include <span>

#include "core/forward_batch.hpp"

namespace troupe {

// Blocks of a pool that hold `tokens` tokens.
constexpr std::size_t blocks_for(std::size_t tokens, std::size_t block_size) {
    return (tokens + block_size - 1) / block_size;
}

// Computes tokens [first, ids.size()) of the sequence, whose block i is block i of the pool; those before
// `first` have been computed; the first `prompt` are the prompt, all of them if it is 0. Asks for the logits
// of the last token, and draws the next one with `params`.
inline ForwardBatch sequence_batch(std::span<const TokenId> ids, std::size_t first, std::size_t block_size,
                                   const SamplingParams& params, std::size_t prompt = 0) {
    ForwardBatch batch;
    batch.input_ids.assign(ids.begin() + static_cast<std::ptrdiff_t>(first), ids.end());
    for (std::size_t i = first; i < ids.size(); ++i) {
        batch.positions.push_back(static_cast<std::int32_t>(i));
        batch.slot_mapping.push_back(static_cast<std::int32_t>(i));
    }
    const auto blocks = static_cast<std::int32_t>(blocks_for(ids.size(), block_size));
    for (std::int32_t block = 0; block < blocks; ++block) batch.block_tables.push_back(block);
    batch.query_start = {0, static_cast<std::int32_t>(ids.size() - first)};
    batch.context_lens = {static_cast<std::int32_t>(ids.size())};
    batch.prompt_lens = {static_cast<std::int32_t>(prompt == 0 ? ids.size() : prompt)};
    batch.block_table_start = {0, blocks};
    batch.logits_rows = {static_cast<std::int32_t>(ids.size() - first) - 1};
    batch.sampling = {{params, static_cast<std::uint32_t>(ids.size())}};
    return batch;
}

}  // namespace troupe
