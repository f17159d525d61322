#include "engine/scheduler_state.hpp"

#include <algorithm>

namespace troupe {

Sequence* SchedulerState::find(SequenceId id) {
    const auto found = sequences.find(id);
    return found == sequences.end() ? nullptr : &found->second;
}

std::vector<Sequence*>::iterator SchedulerState::place_of(const SequenceSpec& spec) {
    return std::partition_point(by_arrival.begin(), by_arrival.end(), [&](const Sequence* other) {
        return std::pair(other->spec.arrival, other->spec.id) < std::pair(spec.arrival, spec.id);
    });
}

Sequence& SchedulerState::insert(SequenceSpec spec) {
    Sequence& sequence = sequences[spec.id];
    sequence.spec = std::move(spec);
    by_arrival.insert(place_of(sequence.spec), &sequence);
    return sequence;
}

void SchedulerState::erase(Sequence& sequence) {
    if (sequence.status == SequenceStatus::running) free_blocks(sequence);
    mark_rows(sequence.spec.id, RowFate::dropped);
    by_arrival.erase(place_of(sequence.spec));
    sequences.erase(sequence.spec.id);
}

void SchedulerState::preempt(Sequence& sequence) {
    free_blocks(sequence);
    sequence.status = SequenceStatus::preempted;
    sequence.num_computed_tokens = 0;
    sequence.num_scheduled_tokens = 0;
    sequence.prefix = sequence.below = {};
    mark_rows(sequence.spec.id, RowFate::kv_lost);
}

void SchedulerState::complete_row(Sequence& sequence, std::uint32_t num_tokens) {
    const std::uint32_t full = sequence.num_computed_tokens / options.block_size;
    sequence.num_computed_tokens += num_tokens;
    sequence.num_scheduled_tokens -= num_tokens;
    if (sequence.num_computed_tokens / options.block_size == full) return;
    const SequenceSpec& spec = sequence.spec;
    kv.completed(sequence.block_table, spec.cache_salt, {spec.tokens.data(), sequence.num_computed_tokens});
}

void SchedulerState::save(const Sequence& sequence, Swapper::Wish wish, TimeUs now) {
    if (sequence.status != SequenceStatus::running) return;
    const SequenceSpec& spec = sequence.spec;
    swapper.save(spec.cache_salt, {spec.tokens.data(), sequence.num_computed_tokens}, wish, now);
}

void SchedulerState::free_blocks(Sequence& sequence) {
    kv.release(sequence.block_table);
    to_remove.push_back(sequence.spec.id);
}

void SchedulerState::mark_rows(SequenceId id, RowFate fate) {
    for (InFlightStep& step : in_flight) {
        for (InFlightRow& row : step.rows) {
            if (row.id == id && row.fate != RowFate::dropped) row.fate = fate;
        }
    }
}

std::uint32_t SchedulerState::max_len(const SequenceSpec& spec) const {
    const std::uint64_t wanted = std::uint64_t{spec.num_prompt_tokens} + spec.stop.max_tokens;
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(wanted, options.max_model_len));
}

}  // namespace troupe
