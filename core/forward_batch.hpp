// The only thing a backend sees: one step as flat ragged arrays. No sequences, no ids, no policy.
#pragma once
#include <cstdint>
#include <vector>

#include "core/ids.hpp"
#include "core/sampling_params.hpp"

namespace troupe {

// What to do with a row of logits: draw one token. `position` is the index, in its sequence, of the token to
// be drawn.
struct SamplingRow {
    SamplingParams params;
    std::uint32_t position = 0;
    std::uint32_t num_prompt_tokens = 0;
    // Not no_token: the prompt goes on with this token. Nothing is drawn, its log probabilities are wanted.
    TokenId given = no_token;
    std::vector<TokenId> history = {};  // [position] the sequence's tokens, if its params have penalties

    bool operator==(const SamplingRow&) const = default;
};

// T new tokens of R sequences, the tokens of one sequence consecutive.
struct ForwardBatch {
    std::vector<TokenId> input_ids;               // [T]
    std::vector<std::int32_t> positions;          // [T] index of the token in its sequence
    std::vector<std::int32_t> slot_mapping;       // [T] block * block_size + offset, where its KV is stored
    std::vector<std::int32_t> query_start;        // [R + 1] first token of each row, then T
    std::vector<std::int32_t> context_lens;       // [R] tokens with KV once this step's are stored
    std::vector<std::int32_t> prompt_lens;        // [R] tokens of the sequence's prompt, or empty: all are
    std::vector<std::int32_t> block_table_start;  // [R + 1] into block_tables
    std::vector<BlockId> block_tables;  // blocks of row r: [block_table_start[r], block_table_start[r + 1])
    std::vector<std::int32_t>
        logits_rows;                    // [L] indices into the T tokens whose logits are wanted, ascending
    std::vector<SamplingRow> sampling;  // [L] how to draw from them

    bool operator==(const ForwardBatch&) const = default;
};

}  // namespace troupe
