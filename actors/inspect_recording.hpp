// Inspectors of what a recording holds beyond the actors' messages: events, policies' answers, options. Each
// names all fields by a structured binding: a new field that is forgotten here does not compile.
#pragma once
#include "actors/inspect_core.hpp"
#include "engine/replay.hpp"

namespace troupe {

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, RequestArrived& x) {
    auto& [now, spec] = x;
    return f(now, spec);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, RequestCancelled& x) {
    auto& [now, sequence] = x;
    return f(now, sequence);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, StopReached& x) {
    auto& [now, sequence, epoch, position] = x;
    return f(now, sequence, epoch, position);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, StepCompleted& x) {
    auto& [now, result] = x;
    return f(now, result);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, WorkerLost& x) {
    auto& [now, epoch] = x;
    return f(now, epoch);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, WorkerReady& x) {
    auto& [now, epoch, tiers_survive] = x;
    return f(now, epoch, tiers_survive);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, MoveCompleted& x) {
    auto& [now, done] = x;
    return f(now, done);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, DeadlineReached& x) {
    auto& [now, sequence] = x;
    return f(now, sequence);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, PolicyReplaced& x) {
    auto& [now] = x;
    return f(now);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, PolicyRow& x) {
    auto& [sequence, num_tokens] = x;
    return f(sequence, num_tokens);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, Decision& x) {
    auto& [rows, victims, victim_actions, shed] = x;
    return f(rows, victims, victim_actions, shed);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, Rejected& x) {
    auto& [reason] = x;
    return f(reason);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, SchedulerOptions& x) {
    auto& [max_num_batched_tokens, max_num_seqs, max_model_len, block_size, num_blocks, max_steps_in_flight,
           end_token_ids, host_pages, disk_pages, host_us_per_block, disk_us_per_block, lookups_per_place,
           first_step] = x;
    return f(max_num_batched_tokens, max_num_seqs, max_model_len, block_size, num_blocks, max_steps_in_flight,
             end_token_ids, first_step, host_pages, disk_pages, host_us_per_block, disk_us_per_block,
             lookups_per_place);
}

// What replaying depends on and actors/inspect_core.hpp knows: with a field more or less this does not
// compile, until that file and this have been told.
inline void names_all_fields(SequenceSpec& spec, SamplingParams& sampling, StopParams& stop, StepPlan& plan,
                             AddedSequence& added, GrownSequence& grown, StepResult& result, MoveDone& done) {
    [[maybe_unused]] auto& [id, tenant, arrival, priority, deadline, ttft_target, tpot_target, tokens,
                            num_prompt_tokens, own_sampling, own_stop, oracle_tokens, cache_salt] = spec;
    [[maybe_unused]] auto& [temperature, top_p, min_p, top_k, seed, choice, typical_p, xtc_probability,
                            xtc_threshold, repetition_penalty, presence_penalty, frequency_penalty,
                            min_tokens, end_tokens, logprobs, prompt_logprobs, logit_bias, dry] = sampling;
    [[maybe_unused]] auto& [max_tokens, ignore_eos, stop_token_ids] = stop;
    [[maybe_unused]] auto& [epoch, step, removed, added_ones, grown_ones, copies, rows] = plan;
    [[maybe_unused]] auto& [added_id, added_tokens, added_prompt, added_computed, added_sampling, table] =
        added;
    [[maybe_unused]] auto& [grown_id, new_blocks, num_replaced] = grown;
    [[maybe_unused]] auto& [result_epoch, result_step, sampled, prompts, compute_us, idle_us] = result;
    [[maybe_unused]] auto& [done_epoch, job, num_moved, us] = done;
}

}  // namespace troupe
