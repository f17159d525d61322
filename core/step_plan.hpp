// What the scheduler tells the workers of a replica, and what they answer. Plain serializable values.
// A StepPlan is a delta against the worker's mirror (engine/input_batch.hpp); a new worker starts empty.
#pragma once
#include <cstdint>
#include <vector>

#include "core/ids.hpp"
#include "core/logprobs.hpp"
#include "core/sampling_params.hpp"

namespace troupe {

// A sequence that the worker does not know yet. Its first num_computed_tokens have valid KV in block_table.
struct AddedSequence {
    SequenceId id = 0;
    std::vector<TokenId> tokens;  // prompt and everything generated so far
    std::uint32_t num_prompt_tokens = 0;
    std::uint32_t num_computed_tokens = 0;
    SamplingParams sampling;
    std::vector<BlockId> block_table;  // blocks for tokens [0, 16), [16, 32), ... at block size 16

    bool operator==(const AddedSequence&) const = default;
};

struct GrownSequence {
    SequenceId id = 0;
    std::vector<BlockId> new_blocks;  // appended to its block table
    std::uint32_t num_replaced =
        0;  // first that many are taken off its end (1: copy-on-write of the last block)

    bool operator==(const GrownSequence&) const = default;
};

enum class RowKind : std::uint8_t {
    chunk,   // part of a prompt (or of a recompute): computes KV, samples nothing
    sample,  // reaches the sequence's last token: its logits give the next one
};

// One sequence's share of a step: its next num_new_tokens tokens. In a step planned ahead, the last of them
// may be the token that the step before samples; the worker has it by the time it gets here.
struct PlanRow {
    SequenceId id = 0;
    std::uint32_t num_new_tokens = 0;
    RowKind kind = RowKind::chunk;

    bool operator==(const PlanRow&) const = default;
};

struct BlockCopy {
    BlockId from = 0;
    BlockId to = 0;

    bool operator==(const BlockCopy&) const = default;
};

// Order of application: removed, added, grown, copies, rows.
struct StepPlan {
    Epoch epoch = 0;
    StepId step = 0;
    std::vector<SequenceId> removed;
    std::vector<AddedSequence> added;
    std::vector<GrownSequence> grown;
    std::vector<BlockCopy> copies;
    std::vector<PlanRow> rows;

    bool operator==(const StepPlan&) const = default;
};

struct SampledTokens {
    SequenceId id = 0;
    std::vector<TokenId> tokens;                  // one, or several with speculation; or no_token
    std::vector<PositionLogprobs> logprobs = {};  // of each, if the sequence's parameters want them

    bool operator==(const SampledTokens&) const = default;
};

// Of the prompt's tokens from `position` (at least 1) on.
struct PromptLogprobs {
    SequenceId id = 0;
    std::uint32_t position = 0;
    std::vector<PositionLogprobs> entries;

    bool operator==(const PromptLogprobs&) const = default;
};

struct StepResult {
    Epoch epoch = 0;
    StepId step = 0;
    std::vector<SampledTokens> sampled;   // one entry per row of kind `sample`, in row order
    std::vector<PromptLogprobs> prompts;  // at most one per row, of sequences whose parameters want them
    TimeUs compute_us = 0;                // time in the backend, for the cost model
    TimeUs idle_us = 0;  // worker's wait between the end of the step before and this step's start

    bool operator==(const StepResult&) const = default;
};

}  // namespace troupe
