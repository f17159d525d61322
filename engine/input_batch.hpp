// The worker's mirror of the sequences it runs: applies StepPlans (deltas), builds the ForwardBatch, takes
// the sampled tokens back. One per worker incarnation: a new worker starts with a new, empty InputBatch.
//
// A worker's turn:  batch = begin(plan); backend.copy_blocks(plan.copies); sampled = backend.execute(batch);
//                   result = complete(sampled); fill in result's times and send it.
#pragma once
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "core/forward_batch.hpp"
#include "core/status.hpp"
#include "core/step_plan.hpp"

namespace troupe {

// What the worker knows of one sequence.
struct MirrorSequence {
    std::vector<TokenId> tokens;  // prompt and generated
    std::uint32_t num_prompt_tokens = 0;
    std::uint32_t num_computed_tokens = 0;  // with KV, those of the step begun included
    SamplingParams sampling;
    std::vector<BlockId> block_table;
};

// Owned by one worker, not thread-safe. An error means that scheduler and worker disagree: a bug; the worker
// should die and let a new epoch begin. The mirror is then of no use any more.
class InputBatch {
  public:
    // num_blocks bounds the block ids that plans may name.
    InputBatch(std::uint32_t block_size, std::uint32_t num_blocks);

    // Applies plan's removed, added and grown and lays out its rows. Steps must be completed before the next
    // begins.
    Result<ForwardBatch> begin(const StepPlan& plan);

    // One token per logits row of the step begun, in that order, and as many logprobs or none at all. The
    // result's times are left 0.
    Result<StepResult> complete(std::span<const TokenId> tokens,
                                std::span<const PositionLogprobs> logprobs = {});

    // The sequence, or null.
    const MirrorSequence* find(SequenceId id) const;
    std::size_t size() const { return sequences_.size(); }

  private:
    Status apply_delta(const StepPlan& plan);
    void append_logits_row(const MirrorSequence& sequence, SequenceId id, std::size_t position,
                           ForwardBatch& batch);
    Status append_row(const PlanRow& row, ForwardBatch& batch);
    Status check_blocks(SequenceId id, const std::vector<BlockId>& blocks) const;

    std::uint32_t block_size_;
    std::uint32_t num_blocks_;
    std::map<SequenceId, MirrorSequence> sequences_;
    struct LogitsRow {
        SequenceId id = 0;
        std::uint32_t position = 0;  // of the token that the logits are for
        bool given = false;          // by the prompt: nothing is sampled
    };
    std::vector<LogitsRow> logits_rows_;  // of the step begun
    Epoch epoch_ = 0;                     // of the first plan
    StepId step_ = 0;                     // last begun
    bool begun_ = false;                  // and not yet completed
};

}  // namespace troupe
