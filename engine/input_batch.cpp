#include "engine/input_batch.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace troupe {
namespace {

Error mismatch(SequenceId id, const char* what) {
    return internal_error("The step plan does not fit the worker's mirror: sequence " + std::to_string(id) +
                          " " + what + ".");
}

}  // namespace

InputBatch::InputBatch(std::uint32_t block_size, std::uint32_t num_blocks)
    : block_size_(block_size), num_blocks_(num_blocks) {}

const MirrorSequence* InputBatch::find(SequenceId id) const {
    const auto found = sequences_.find(id);
    return found == sequences_.end() ? nullptr : &found->second;
}

Result<ForwardBatch> InputBatch::begin(const StepPlan& plan) {
    if (begun_) return internal_error("A step was begun before the one before it was completed.");
    if (plan.step <= step_ || (epoch_ != 0 && plan.epoch != epoch_)) {
        return internal_error("Step " + std::to_string(plan.step) + " of epoch " +
                              std::to_string(plan.epoch) + " came after step " + std::to_string(step_) +
                              " of epoch " + std::to_string(epoch_) + ".");
    }
    if (Status applied = apply_delta(plan); !applied) return applied.error();
    ForwardBatch batch;
    batch.query_start.push_back(0);
    batch.block_table_start.push_back(0);
    logits_rows_.clear();
    for (const PlanRow& row : plan.rows) {
        if (Status appended = append_row(row, batch); !appended) return appended.error();
    }
    epoch_ = plan.epoch;
    step_ = plan.step;
    begun_ = true;
    return batch;
}

Status InputBatch::check_blocks(SequenceId id, const std::vector<BlockId>& blocks) const {
    for (BlockId block : blocks) {
        if (block < 0 || static_cast<std::uint32_t>(block) >= num_blocks_)
            return mismatch(id, "has a block outside the pool");
    }
    return {};
}

Status InputBatch::apply_delta(const StepPlan& plan) {
    for (SequenceId id : plan.removed) {
        if (sequences_.erase(id) == 0) return mismatch(id, "is removed but unknown");
    }
    for (const AddedSequence& added : plan.added) {
        if (Status checked = check_blocks(added.id, added.block_table); !checked) return checked;
        if (added.num_computed_tokens > added.tokens.size())
            return mismatch(added.id, "has more KV than tokens");
        const auto [entry, inserted] = sequences_.try_emplace(
            added.id, MirrorSequence{added.tokens, added.num_prompt_tokens, added.num_computed_tokens,
                                     added.sampling, added.block_table});
        if (!inserted) return mismatch(added.id, "is added but known");
    }
    for (const GrownSequence& grown : plan.grown) {
        if (Status checked = check_blocks(grown.id, grown.new_blocks); !checked) return checked;
        const auto found = sequences_.find(grown.id);
        if (found == sequences_.end()) return mismatch(grown.id, "is grown but unknown");
        std::vector<BlockId>& table = found->second.block_table;
        if (grown.num_replaced > table.size())
            return mismatch(grown.id, "is to lose more blocks than it has");
        table.resize(table.size() - grown.num_replaced);
        table.insert(table.end(), grown.new_blocks.begin(), grown.new_blocks.end());
    }
    for (const BlockCopy& copy : plan.copies) {
        if (Status checked = check_blocks(0, {copy.from, copy.to}); !checked) return checked;
    }
    return {};
}

Status InputBatch::append_row(const PlanRow& row, ForwardBatch& batch) {
    const auto found = sequences_.find(row.id);
    if (found == sequences_.end()) return mismatch(row.id, "has a row but is unknown");
    MirrorSequence& sequence = found->second;
    const std::size_t begin = sequence.num_computed_tokens;
    const std::size_t end = begin + row.num_new_tokens;
    if (row.num_new_tokens == 0 || end > sequence.tokens.size())
        return mismatch(row.id, "has a row beyond its tokens");
    if ((row.kind == RowKind::sample) != (end == sequence.tokens.size())) {
        return mismatch(row.id, "samples elsewhere than after its last token");
    }
    const std::size_t blocks = (end + block_size_ - 1) / block_size_;
    if (blocks > sequence.block_table.size()) return mismatch(row.id, "has too few blocks");
    for (std::size_t position = begin; position < end; ++position) {
        const auto block = static_cast<std::size_t>(sequence.block_table[position / block_size_]);
        batch.input_ids.push_back(sequence.tokens[position]);
        batch.positions.push_back(static_cast<std::int32_t>(position));
        batch.slot_mapping.push_back(static_cast<std::int32_t>(block * block_size_ + position % block_size_));
    }
    batch.query_start.push_back(static_cast<std::int32_t>(batch.input_ids.size()));
    batch.context_lens.push_back(static_cast<std::int32_t>(end));
    batch.prompt_lens.push_back(static_cast<std::int32_t>(sequence.num_prompt_tokens));
    batch.block_tables.insert(batch.block_tables.end(), sequence.block_table.begin(),
                              sequence.block_table.begin() + static_cast<std::ptrdiff_t>(blocks));
    batch.block_table_start.push_back(static_cast<std::int32_t>(batch.block_tables.size()));
    if (sequence.sampling.prompt_logprobs >= 0) {
        for (std::size_t position = begin + 1;
             position < std::min<std::size_t>(end + 1, sequence.num_prompt_tokens); ++position)
            append_logits_row(sequence, row.id, position, batch);
    }
    if (row.kind == RowKind::sample) append_logits_row(sequence, row.id, end, batch);
    sequence.num_computed_tokens = static_cast<std::uint32_t>(end);
    return {};
}

// Of the row laid out last: the logits for the token at `position`, after all tokens before it.
void InputBatch::append_logits_row(const MirrorSequence& sequence, SequenceId id, std::size_t position,
                                   ForwardBatch& batch) {
    const auto end = static_cast<std::size_t>(batch.context_lens.back());
    batch.logits_rows.push_back(static_cast<std::int32_t>(batch.input_ids.size() - 1 - (end - position)));
    const auto index = static_cast<std::uint32_t>(position);
    const bool given = position < sequence.tokens.size();
    logits_rows_.push_back({id, index, given});
    SamplingRow& row = batch.sampling.emplace_back();
    row.position = index;
    row.num_prompt_tokens = sequence.num_prompt_tokens;
    if (given) {
        row.given = sequence.tokens[position];
        row.params.logprobs = sequence.sampling.prompt_logprobs;
        return;
    }
    row.params = sequence.sampling;
    if (row.params.has_penalties()) row.history = sequence.tokens;
}

Result<StepResult> InputBatch::complete(std::span<const TokenId> tokens,
                                        std::span<const PositionLogprobs> logprobs) {
    if (!begun_) return internal_error("A step was completed that was not begun.");
    if (tokens.size() != logits_rows_.size() || (!logprobs.empty() && logprobs.size() != tokens.size())) {
        return internal_error("The backend sampled " + std::to_string(tokens.size()) + " tokens for " +
                              std::to_string(logits_rows_.size()) + " rows.");
    }
    StepResult result;
    result.epoch = epoch_;
    result.step = step_;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
        const LogitsRow& row = logits_rows_[i];
        if (row.given) {
            if (result.prompts.empty() || result.prompts.back().id != row.id)
                result.prompts.push_back({row.id, row.position, {}});
            if (!logprobs.empty()) result.prompts.back().entries.push_back(logprobs[i]);
            continue;
        }
        MirrorSequence& sequence = sequences_.at(row.id);
        // A step planned ahead may read the token that could not be drawn; its result is dropped.
        sequence.tokens.push_back(tokens[i] == no_token ? 0 : tokens[i]);
        SampledTokens& sampled = result.sampled.emplace_back(SampledTokens{row.id, {tokens[i]}, {}});
        if (sequence.sampling.logprobs >= 0 && !logprobs.empty()) sampled.logprobs = {logprobs[i]};
    }
    begun_ = false;
    return result;
}

}  // namespace troupe
