// Scheduler::check_invariants: what must hold between any two events.
#include <algorithm>
#include <map>
#include <set>
#include <stdexcept>
#include <string>

#include "engine/scheduler_state.hpp"

namespace troupe {
namespace {

struct Expected {
    std::uint32_t scheduled = 0;
    std::uint32_t pending = 0;
};

void require(bool holds, const char* what, SequenceId id = 0) {
    if (!holds)
        throw std::logic_error("scheduler invariant: " + std::string(what) + ", sequence " +
                               std::to_string(id));
}

void check_sequence(const SchedulerState& state, const Sequence& sequence, const Expected& expected) {
    const SequenceId id = sequence.spec.id;
    const auto known = static_cast<std::uint32_t>(sequence.spec.tokens.size());
    require(sequence.num_scheduled_tokens == expected.scheduled,
            "scheduled tokens are those of steps in flight", id);
    require(sequence.num_pending_samples == expected.pending, "pending samples are those of steps in flight",
            id);
    const std::uint32_t covered = sequence.num_computed_tokens + sequence.num_scheduled_tokens;
    require(covered <= known + sequence.num_pending_samples, "no KV beyond the tokens", id);
    require(known + sequence.num_pending_samples <= state.max_len(sequence.spec), "no row beyond the end",
            id);
    if (sequence.status != SequenceStatus::running) {
        require(covered == 0, "only running sequences have KV", id);
        return;
    }
    const auto& blocks = state.kv.block_table(sequence.block_table);
    require(blocks.size() == state.kv.blocks_for(covered), "a table covers exactly what is computed", id);
}

}  // namespace

void Scheduler::check_invariants() const {
    const SchedulerState& state = *state_;
    state.kv.check_invariants();
    state.swapper.check_invariants();
    require(state.in_flight.size() <= state.options.max_steps_in_flight,
            "no more steps in flight than allowed");
    require(state.worker_ready || state.in_flight.empty(), "no step in flight without a worker");
    require(!state.in_flight.empty() || state.kv.num_retired() == 0,
            "no block waits for a step that is not there");
    require(state.by_arrival.size() == state.sequences.size(), "every sequence has its place in the order");
    require(std::is_sorted(state.by_arrival.begin(), state.by_arrival.end(),
                           [](const Sequence* a, const Sequence* b) {
                               return std::pair(a->spec.arrival, a->spec.id) <
                                      std::pair(b->spec.arrival, b->spec.id);
                           }),
            "the order is by arrival and id");

    std::map<SequenceId, Expected> expected;
    for (const InFlightStep& step : state.in_flight) {
        for (const InFlightRow& row : step.rows) {
            require(row.fate == RowFate::dropped || find(row.id) == row.sequence,
                    "a row is of a sequence that is there", row.id);
            if (row.fate == RowFate::live) expected[row.id].scheduled += row.num_new_tokens;
            if (row.fate != RowFate::dropped && row.kind == RowKind::sample) ++expected[row.id].pending;
        }
    }
    std::uint32_t running = 0;
    std::set<BlockId> blocks;  // some may be shared
    for (const Sequence* sequence : state.by_arrival) {
        check_sequence(state, *sequence, expected[sequence->spec.id]);
        if (sequence->status != SequenceStatus::running) continue;
        ++running;
        const auto& table = state.kv.block_table(sequence->block_table);
        blocks.insert(table.begin(), table.end());
    }
    for (const BlockId block : state.swapper.held_blocks()) blocks.insert(block);
    require(running <= state.options.max_num_seqs, "no more sequences run than allowed");
    require(blocks.size() + state.kv.num_free() + state.kv.num_retired() == state.kv.num_blocks(),
            "every block is accounted for");
}

}  // namespace troupe
