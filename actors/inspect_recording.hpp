// Inspectors of what a recording holds beyond the actors' messages: events, policies' answers, options.
#pragma once
#include "actors/inspect_core.hpp"
#include "engine/replay.hpp"

namespace troupe {

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, RequestArrived& x) {
    return f(x.now, x.spec);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, RequestCancelled& x) {
    return f(x.now, x.sequence);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, StopReached& x) {
    return f(x.now, x.sequence, x.epoch, x.position);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, StepCompleted& x) {
    return f(x.now, x.result);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, WorkerLost& x) {
    return f(x.now, x.epoch);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, WorkerReady& x) {
    return f(x.now, x.epoch, x.tiers_survive);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, MoveCompleted& x) {
    return f(x.now, x.done);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, DeadlineReached& x) {
    return f(x.now, x.sequence);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, PolicyReplaced& x) {
    return f(x.now);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, PolicyRow& x) {
    return f(x.sequence, x.num_tokens);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, Decision& x) {
    return f(x.rows, x.victims, x.victim_actions, x.shed);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, Rejected& x) {
    return f(x.reason);
}

// All of them: a replay without one would differ.
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, SchedulerOptions& x) {
    return f(x.max_num_batched_tokens, x.max_num_seqs, x.max_model_len, x.block_size, x.num_blocks,
             x.max_steps_in_flight, x.end_token_ids, x.first_step, x.host_pages, x.disk_pages,
             x.host_us_per_block, x.disk_us_per_block, x.lookups_per_place);
}

}  // namespace troupe
