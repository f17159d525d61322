#include "engine/planner.hpp"

#include <algorithm>
#include <stdexcept>

#include "engine/decision_check.hpp"
#include "engine/finish.hpp"
#include "policies/fcfs.hpp"

namespace troupe {
namespace {

Error slo_unreachable() {
    return {
        ErrorCode::resource_exhausted,
        "The server cannot meet this request's latency target (ttft_target_ms, or --ttft-target) under its "
        "present load: try again later, or ask for more time.",
        {},
        "slo_unreachable"};
}

bool has_work(const PolicySequence& entry) {
    return entry.generated_tokens < entry.max_tokens &&
           entry.prompt_tokens + entry.generated_tokens > entry.computed_tokens;
}

}  // namespace

std::optional<StepPlan> Planner::next_plan(TimeUs now, std::vector<Action>& actions) {
    if (!state_.worker_ready || state_.in_flight.size() >= state_.options.max_steps_in_flight)
        return std::nullopt;
    const Sequence* alone = suspect();
    if (alone != nullptr && !in_flight_alone(*alone)) return std::nullopt;
    bool fcfs = alone != nullptr;  // no policy is asked any more
    for (;;) {
        build_view(now);
        if (std::none_of(entries_.begin(), entries_.end(), has_work)) return std::nullopt;
        const Decision decision = alone != nullptr ? decide_alone(*alone) : fcfs ? decide_fcfs() : decide();
        preempt_victims(decision, now, actions);
        shed(decision, now, actions);
        StepPlan plan = plan_rows(decision, now);
        if (!plan.rows.empty()) return plan;
        if (!state_.in_flight.empty()) return std::nullopt;  // blocks or tokens come when a step ends
        if (!decision.victims.empty() || !decision.shed.empty()) continue;
        if (state_.swapper.holds_blocks()) return std::nullopt;  // MoveCompleted brings them
        // Nothing is running and there is work: waiting for an event could mean waiting for ever.
        if (fcfs) throw std::logic_error("scheduler: nothing can be planned although there is work");
        reject("there is work and nothing in flight, but the decision runs nothing");
        fcfs = true;
    }
}

// The policy sees every sequence that a decision may name. Preempted ones whose last tokens are still to come
// from steps in flight are left out until they have come: the worker has to be given all tokens when they run
// again. So are those that another is about to save work: what it computes will be theirs, too; and those
// whose KV is being loaded.
void Planner::build_view(TimeUs now) {
    const SchedulerOptions& options = state_.options;
    entries_.clear();
    candidates_.clear();
    sharing_.begin();
    std::uint32_t num_running = 0;
    for (Sequence* sequence : state_.by_arrival) {
        const bool running = sequence->status == SequenceStatus::running;
        if (!running && sequence->num_pending_samples > 0) continue;
        if (running) ++num_running;
        const SequenceSpec& spec = sequence->spec;
        const bool looked_up = !running && sharing_.look_in_time(*sequence);
        if (!running && (sharing_.waits(*sequence) || waits_for_load(*sequence))) continue;
        const std::uint32_t swapped = looked_up ? loadable_blocks(*sequence, now) * options.block_size : 0;
        const auto policy_state = swapped > 0 && sequence->status == SequenceStatus::preempted
                                      ? std::uint32_t{POLICY_SWAPPED}
                                      : static_cast<std::uint32_t>(sequence->status);
        const std::uint32_t cached = running ? 0 : sequence->prefix.num_blocks * options.block_size;
        candidates_.push_back(sequence);
        entries_.push_back(
            {.id = spec.id,
             .tenant = spec.tenant,
             .arrival_us = spec.arrival,
             .deadline_us = spec.deadline,
             .first_token_us = sequence->first_token_time,
             .last_token_us = sequence->last_token_time,
             .ttft_target_us = spec.ttft_target,
             .tpot_target_us = spec.tpot_target,
             .priority = spec.priority,
             .state = policy_state,
             .prompt_tokens = spec.num_prompt_tokens,
             .computed_tokens = sequence->num_computed_tokens + sequence->num_scheduled_tokens + cached,
             .cached_prefix_tokens = cached,
             .cached_free_blocks = running ? 0 : state_.kv.num_unreferenced(sequence->prefix),
             .swapped_tokens = swapped,
             .generated_tokens = num_generated(*sequence) + sequence->num_pending_samples,
             .max_tokens = state_.max_len(spec) - spec.num_prompt_tokens,
             .oracle_tokens = spec.oracle_tokens,
             .blocks_held = running ? state_.kv.num_unshared(sequence->block_table) : 0,
             .preemptions = sequence->num_preemptions});
    }
    const StepCost cost = state_.cost_model.cost();
    view_ = {.struct_size = sizeof(PolicyView),
             .sequence_size = sizeof(PolicySequence),
             .sequences = entries_.data(),
             .num_sequences = static_cast<std::uint32_t>(entries_.size()),
             .num_running = num_running,
             .now_us = now,
             .token_budget = options.max_num_batched_tokens,
             .max_sequences = options.max_num_seqs,
             .block_size = options.block_size,
             .total_blocks = options.num_blocks,
             .free_blocks = state_.kv.num_free() + state_.kv.num_retired() + state_.swapper.num_coming_free(),
             .swap_free_blocks = state_.swapper.num_free_pages(),
             .step_cost_base_us = cost.base_us,
             .step_cost_per_token_us = cost.per_token_us,
             .step_cost_per_context_token_us = cost.per_context_token_us,
             .swap_us_per_block = state_.swapper.us_per_block(now)};
}

Decision Planner::decide() {
    if (stalled()) return reject("no token has been made for too many steps");
    PolicyOutcome outcome = policy_.decide(view_);
    if (const auto* rejected = std::get_if<Rejected>(&outcome)) return reject(rejected->reason);
    if (auto fault = find_fault(view_, std::get<Decision>(outcome))) return reject(*fault);
    return std::get<Decision>(std::move(outcome));
}

Decision Planner::reject(const std::string& reason) {
    ++state_.totals.num_rejected_decisions;
    state_.last_rejection = reason;
    return decide_fcfs();
}

Decision Planner::decide_fcfs() {
    TablePolicyPort port(fcfs_policy());
    Decision decision = std::get<Decision>(port.decide(view_));
    if (auto fault = find_fault(view_, decision))
        throw std::logic_error("scheduler: FCFS decided nonsense: " + *fault);
    return decision;
}

// A policy that preempts and admits in a circle makes no token. Within twice the steps that prefilling the
// longest sequence in every place takes, one must have come; if not, FCFS decides until it has. So every run
// ends.
bool Planner::stalled() const {
    const SchedulerOptions& options = state_.options;
    const std::uint64_t prefill = options.max_model_len / options.max_num_batched_tokens + 1;
    return state_.plans_without_token > 2 * prefill * options.max_num_seqs;
}

Sequence* Planner::suspect() const {
    for (Sequence* sequence : state_.by_arrival) {
        if (sequence->num_worker_deaths >= deaths_to_run_alone) return sequence;
    }
    return nullptr;
}

// Steps in flight with others are waited for: a death in one of them would be blamed on the suspect, too.
bool Planner::in_flight_alone(const Sequence& suspect) const {
    return std::all_of(state_.in_flight.begin(), state_.in_flight.end(), [&](const InFlightStep& step) {
        return step.rows.size() == 1 && step.rows.front().id == suspect.spec.id;
    });
}

// The suspect's next chunk, and victims (latest first) until a place and blocks for all its tokens are free.
Decision Planner::decide_alone(const Sequence& suspect) const {
    Decision decision;
    std::uint32_t index = 0;
    while (candidates_[index] != &suspect) ++index;
    const PolicySequence& entry = entries_[index];
    if (!has_work(entry)) return decision;
    const bool runs = entry.state == POLICY_RUNNING;
    const std::uint32_t known = entry.prompt_tokens + entry.generated_tokens;
    const std::uint32_t wanted = std::min(state_.kv.blocks_for(known) + 1, state_.max_blocks(suspect.spec));
    std::uint32_t free_blocks = view_.free_blocks + (runs ? state_.kv.blocks_for(entry.computed_tokens) : 0);
    std::uint32_t running = view_.num_running + (runs ? 0 : 1);
    for (std::uint32_t i = view_.num_sequences; i-- > 0;) {
        if (free_blocks >= wanted && running <= view_.max_sequences) break;
        if (i == index || entries_[i].state != POLICY_RUNNING) continue;
        decision.victims.push_back(i);
        free_blocks += entries_[i].blocks_held;
        --running;
    }
    decision.rows.push_back({index, std::min(known - entry.computed_tokens, view_.token_budget)});
    return decision;
}

void Planner::preempt_victims(const Decision& decision, TimeUs now, std::vector<Action>& actions) {
    for (std::size_t i = 0; i < decision.victims.size(); ++i) {
        Sequence& sequence = *candidates_[decision.victims[i]];
        const auto action = decision.victim_actions.empty() ? std::uint8_t{POLICY_VICTIM_BY_COST}
                                                            : decision.victim_actions[i];
        if (action != POLICY_VICTIM_RECOMPUTE) {
            const bool swap = action == POLICY_VICTIM_SWAP;
            state_.save(sequence, swap ? Swapper::Wish::always : Swapper::Wish::by_cost, now);
        }
        state_.preempt(sequence);
        ++sequence.num_preemptions;
        ++state_.totals.num_preemptions;
        actions.emplace_back(Preempted{sequence.spec.id});
        policy_.on_event(policy_event(POLICY_EVENT_PREEMPTED, now, sequence.spec));
    }
}

void Planner::shed(const Decision& decision, TimeUs now, std::vector<Action>& actions) {
    for (const std::uint32_t index : decision.shed) {
        Sequence& sequence = *candidates_[index];
        ++state_.totals.num_shed_sequences;
        finish(state_, policy_, now, sequence, FinishReason::failed, 0, actions, slo_unreachable());
    }
}

StepPlan Planner::plan_rows(const Decision& decision, TimeUs now) {
    StepPlan plan;
    plan.epoch = state_.epoch;
    plan.step = state_.last_step + 1;
    InFlightStep step;
    step.step = plan.step;
    plan.rows.reserve(decision.rows.size());
    step.rows.reserve(decision.rows.size());
    bool short_of_blocks = false;
    for (const PolicyRow& row : decision.rows) {
        Sequence& sequence = *candidates_[row.sequence];
        if (!append_row(sequence, row.num_tokens, now, short_of_blocks, plan)) continue;
        const PlanRow& added = plan.rows.back();
        step.rows.push_back({added.id, &sequence, added.num_new_tokens, added.kind, RowFate::live});
        step.num_tokens += added.num_new_tokens;
        step.context_tokens += sequence.num_computed_tokens + sequence.num_scheduled_tokens;
    }
    if (plan.rows.empty()) return plan;
    plan.removed = std::move(state_.to_remove);
    state_.to_remove.clear();
    state_.last_step = plan.step;
    ++state_.plans_without_token;
    state_.in_flight.push_back(std::move(step));
    return plan;
}

// Blocks that must be free for the row to be carried out now.
std::uint32_t Planner::blocks_wanted(const Sequence& sequence, std::uint32_t num_tokens) const {
    const KvCacheManager& kv = state_.kv;
    if (sequence.status == SequenceStatus::running) return kv.blocks_needed(sequence.block_table, num_tokens);
    const std::uint32_t shared = sequence.prefix.num_blocks;
    const std::uint32_t taken = kv.num_idle(sequence.prefix);
    if (sequence.status == SequenceStatus::waiting)
        return kv.blocks_for(std::uint64_t{shared} * state_.options.block_size + num_tokens) - shared + taken;
    // Preempted: its whole recompute plus one block, or it would soon be preempted again.
    return std::min(kv.blocks_for(sequence.spec.tokens.size()) + 1, state_.max_blocks(sequence.spec)) -
           shared + taken;
}

// How many blocks of what it has yet to compute are quicker to be had from the tiers below. Who has to run
// alone computes all itself: what was computed before may be why workers die.
std::uint32_t Planner::loadable_blocks(Sequence& sequence, TimeUs now) const {
    if (sequence.num_worker_deaths >= deaths_to_run_alone) return 0;
    return state_.swapper.loadable(sequence.below, sequence.prefix, sequence.spec.cache_salt,
                                   shareable_tokens(sequence), now);
}

bool Planner::waits_for_load(const Sequence& sequence) const {
    return sequence.num_worker_deaths < deaths_to_run_alone && state_.swapper.is_loading(sequence.prefix);
}

// Starts to load its KV, if that is quicker than computing it. It runs when it is there; the rest of the
// blocks that it wants are kept for it. Counts as a plan that makes no token.
bool Planner::load(Sequence& sequence, std::uint32_t wanted, TimeUs now) {
    const std::uint32_t loaded = loadable_blocks(sequence, now);
    if (loaded == 0 || !state_.swapper.load(sequence.prefix, sequence.below, sequence.spec.cache_salt,
                                            shareable_tokens(sequence), wanted - std::min(wanted, loaded)))
        return false;
    ++state_.plans_without_token;
    return true;
}

// Gives it a table with what the cache has. Returns how many of the num_tokens after its prefix are still to
// be computed: a tail comes off them, so that it needs no more blocks than without.
std::uint32_t Planner::admit(Sequence& sequence, std::uint32_t num_tokens) {
    auto tail = sharing_.find_tail(sequence);
    if (tail) tail->num_tokens = std::min(tail->num_tokens, num_tokens - 1);
    if (tail && tail->num_tokens == 0) tail.reset();
    sequence.block_table = state_.kv.take(sequence.prefix, tail);
    sequence.num_computed_tokens = static_cast<std::uint32_t>(state_.kv.num_tokens(sequence.block_table));
    if (sequence.status == SequenceStatus::waiting && !needs_prompt_logits(sequence.spec)) {
        state_.totals.num_prefix_queries += sequence.spec.tokens.size();
        state_.totals.num_prefix_hits += sequence.num_computed_tokens;
    }
    sequence.status = SequenceStatus::running;
    return tail ? num_tokens - tail->num_tokens : num_tokens;
}

// Reserves the row's blocks and adds it to the plan; false if they are not to be had now, or if another who
// runs since this plan computes what it needs. Once a row was short of blocks, no later one gets any: they
// are kept for it.
bool Planner::append_row(Sequence& sequence, std::uint32_t num_tokens, TimeUs now, bool& short_of_blocks,
                         StepPlan& plan) {
    const bool running = sequence.status == SequenceStatus::running;
    if (!running) {
        sharing_.look(sequence);  // rows before it may have got blocks that it could have taken
        if (sharing_.waits(sequence) || waits_for_load(sequence)) return false;
        // The view may have shown less than there is.
        const std::uint32_t cached = sequence.prefix.num_blocks * state_.options.block_size;
        num_tokens = std::min(num_tokens, remaining_tokens(sequence) - cached);
    }
    KvCacheManager& kv = state_.kv;
    const std::uint32_t wanted = blocks_wanted(sequence, num_tokens);
    const std::uint32_t promised = running ? 0 : state_.swapper.num_promised();  // to who waits for a load
    if (wanted > 0 && (short_of_blocks || wanted + promised > kv.num_free())) {
        short_of_blocks = true;
        return false;
    }
    if (!running && load(sequence, wanted, now)) return false;
    const SequenceSpec& spec = sequence.spec;
    if (!running) num_tokens = admit(sequence, num_tokens);
    auto reservation = kv.extend(sequence.block_table, num_tokens, plan.step);
    if (!reservation) throw std::logic_error("scheduler: blocks that were free are not");
    if (!running) {
        plan.added.push_back({.id = spec.id,
                              .tokens = spec.tokens,
                              .num_prompt_tokens = spec.num_prompt_tokens,
                              .num_computed_tokens = sequence.num_computed_tokens,
                              .sampling = spec.sampling,
                              .block_table = kv.block_table(sequence.block_table)});
        sharing_.note(sequence);
    } else if (!reservation->new_blocks.empty()) {
        plan.grown.push_back({spec.id, std::move(reservation->new_blocks), reservation->num_replaced});
    }
    if (reservation->copy) plan.copies.push_back(*reservation->copy);
    const bool samples = num_tokens == remaining_tokens(sequence);
    sequence.num_scheduled_tokens += num_tokens;
    if (samples) ++sequence.num_pending_samples;
    plan.rows.push_back({spec.id, num_tokens, samples ? RowKind::sample : RowKind::chunk});
    return true;
}

}  // namespace troupe
