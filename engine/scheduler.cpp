#include "engine/scheduler.hpp"

#include <algorithm>
#include <iterator>
#include <stdexcept>
#include <string>
#include <utility>

#include "engine/finish.hpp"
#include "engine/planner.hpp"
#include "engine/scheduler_state.hpp"

namespace troupe {
namespace {

// A sequence that saw this many of its worker's deaths without a token in between fails (design, law 7).
constexpr std::uint32_t deaths_to_fail = 3;

bool contains(const std::vector<TokenId>& tokens, TokenId token) {
    return std::find(tokens.begin(), tokens.end(), token) != tokens.end();
}

// Whether the sequence ends with the last token it generated, and why.
std::optional<FinishReason> end_of(const SchedulerState& state, const Sequence& sequence) {
    const SequenceSpec& spec = sequence.spec;
    if (num_generated(sequence) == 0) return std::nullopt;
    const TokenId last = spec.tokens.back();
    const bool end_token = !spec.stop.ignore_eos && contains(state.options.end_token_ids, last);
    if (end_token || contains(spec.stop.stop_token_ids, last)) return FinishReason::stop;
    if (spec.tokens.size() >= state.max_len(spec)) return FinishReason::length;
    return std::nullopt;
}

// What makes a submission impossible to serve.
std::optional<Error> admission_error(const SchedulerState& state, const SequenceSpec& spec) {
    if (spec.num_prompt_tokens == 0)
        return invalid_argument("The prompt must have at least one token.", "prompt");
    if (spec.num_prompt_tokens > spec.tokens.size()) {
        return internal_error("A sequence was submitted with fewer tokens than its prompt has.");
    }
    if (spec.stop.max_tokens == 0) return invalid_argument("max_tokens must be at least 1.", "max_tokens");
    const SchedulerOptions& options = state.options;
    if (spec.num_prompt_tokens >= options.max_model_len) {
        return invalid_argument("The prompt has " + std::to_string(spec.num_prompt_tokens) +
                                    " tokens and must leave room for at least one more: the context holds " +
                                    std::to_string(options.max_model_len) + " tokens (--max-model-len).",
                                "prompt", "context_length_exceeded");
    }
    const std::uint32_t needed = state.max_blocks(spec);
    if (needed > options.num_blocks) {
        return invalid_argument(
            "The prompt and max_tokens together need " + std::to_string(needed) + " KV blocks of " +
                std::to_string(options.block_size) + " tokens, but the pool has only " +
                std::to_string(options.num_blocks) +
                ": shorten the prompt, lower max_tokens, or start the server with more (--kv-blocks).",
            "max_tokens", "kv_blocks_exceeded");
    }
    return std::nullopt;
}

Error no_finite_logits() {
    return {ErrorCode::internal,
            "The model produced no finite logits for this request.",
            {},
            "not_finite_logits"};
}

void check_result(const InFlightStep& step, const StepResult& result) {
    std::size_t next = 0;
    for (const InFlightRow& row : step.rows) {
        if (row.kind != RowKind::sample) continue;
        if (next >= result.sampled.size() || result.sampled[next].id != row.id ||
            result.sampled[next].tokens.size() != 1) {
            throw std::logic_error("scheduler: the worker's result does not fit the plan of its step");
        }
        ++next;
    }
    if (next != result.sampled.size())
        throw std::logic_error("scheduler: the worker sampled more than was planned");
}

// All steps in flight are gone, and all KV. Returns the sequences in the step that the worker died in: steps
// are executed in order, so it is the oldest in flight.
std::vector<SequenceId> lose_worker(SchedulerState& state) {
    std::vector<SequenceId> involved;
    if (!state.in_flight.empty()) {
        for (const InFlightRow& row : state.in_flight.front().rows) {
            if (row.fate != RowFate::dropped) involved.push_back(row.id);
        }
    }
    state.in_flight.clear();
    for (Sequence* sequence : state.by_arrival) {
        sequence->num_pending_samples = 0;
        if (sequence->status != SequenceStatus::running) continue;
        state.preempt(*sequence);
        ++state.totals.num_recovered_sequences;
    }
    state.to_remove.clear();  // the next worker knows nobody
    state.plans_without_token = 0;
    state.kv.end_step(state.last_step);
    state.swapper.lose_pool();
    state.kv.forget_all();
    state.worker_ready = false;
    return involved;
}

}  // namespace

Status validate(const SchedulerOptions& options) {
    const std::pair<std::uint32_t, const char*> counts[] = {
        {options.max_num_batched_tokens, "--max-num-batched-tokens"},
        {options.max_num_seqs, "--max-num-seqs"},
        {options.block_size, "--block-size"},
        {options.num_blocks, "--kv-blocks"},
        {options.max_steps_in_flight, "--max-steps-in-flight"}};
    for (const auto& [count, flag] : counts) {
        if (count == 0) return invalid_argument(std::string(flag) + " must be at least 1.", flag);
    }
    if (options.max_model_len < 2)
        return invalid_argument("--max-model-len must be at least 2.", "--max-model-len");
    return {};
}

std::uint32_t max_sequence_len(const SchedulerOptions& options) {
    const std::uint64_t pool = std::uint64_t{options.num_blocks} * options.block_size + 1;
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(pool, options.max_model_len));
}

Scheduler::Scheduler(SchedulerOptions options, PolicyPort& policy)
    : state_(std::make_unique<SchedulerState>(std::move(options))),
      planner_(std::make_unique<Planner>(*state_, policy)),
      policy_(policy) {}

Scheduler::~Scheduler() = default;

std::vector<Action> Scheduler::handle(const Event& event) {
    std::vector<Action> answers;
    std::visit([&](const auto& e) { on(e, answers); }, event);
    const TimeUs now = std::visit([](const auto& e) { return e.now; }, event);
    // The worker is waiting, clients can wait a moment: Execute goes first.
    std::vector<Action> actions;
    while (auto plan = planner_->next_plan(now, answers)) actions.emplace_back(Execute{std::move(*plan)});
    if (state_->worker_ready) {
        for (MoveBlocks& moves : state_->swapper.take_moves(state_->epoch, now))
            actions.emplace_back(Move{std::move(moves)});
    }
    if (actions.empty()) return answers;
    actions.insert(actions.end(), std::make_move_iterator(answers.begin()),
                   std::make_move_iterator(answers.end()));
    return actions;
}

void Scheduler::on(const RequestArrived& event, std::vector<Action>& actions) {
    const SequenceId id = event.spec.id;
    if (Sequence* old = state_->find(id)) state_->erase(*old);  // an earlier submission
    if (auto error = admission_error(*state_, event.spec)) {
        actions.emplace_back(Reject{id, std::move(*error)});
        return;
    }
    Sequence& sequence = state_->insert(event.spec);
    policy_.on_event(
        policy_event(POLICY_EVENT_ARRIVED, event.now, sequence.spec, sequence.spec.num_prompt_tokens));
    // Submitted again after its last token, the Finish of which was lost.
    if (auto reason = end_of(*state_, sequence)) {
        finish(*state_, policy_, event.now, sequence, *reason, num_generated(sequence), actions);
    }
}

void Scheduler::on(const RequestCancelled& event, std::vector<Action>& actions) {
    Sequence* sequence = state_->find(event.sequence);
    if (sequence == nullptr) return;
    finish(*state_, policy_, event.now, *sequence, FinishReason::cancelled, num_generated(*sequence),
           actions);
}

void Scheduler::on(const StopReached& event, std::vector<Action>& actions) {
    Sequence* sequence = state_->find(event.sequence);
    if (sequence == nullptr || event.epoch > state_->epoch || event.position >= num_generated(*sequence))
        return;
    finish(*state_, policy_, event.now, *sequence, FinishReason::stop, event.position + 1, actions);
}

void Scheduler::on(const DeadlineReached& event, std::vector<Action>& actions) {
    Sequence* sequence = state_->find(event.sequence);
    if (sequence == nullptr || sequence->spec.deadline == 0 || event.now < sequence->spec.deadline) return;
    Error error{ErrorCode::timed_out, "The request's deadline passed before it was finished.", "deadline_ms",
                "deadline_exceeded"};
    finish(*state_, policy_, event.now, *sequence, FinishReason::failed, num_generated(*sequence), actions,
           std::move(error));
}

void Scheduler::on(const StepCompleted& event, std::vector<Action>& actions) {
    SchedulerState& state = *state_;
    const StepResult& result = event.result;
    if (!state.worker_ready || result.epoch != state.epoch) return;
    if (state.in_flight.empty() || result.step != state.in_flight.front().step) {
        throw std::logic_error("scheduler: the worker answered a step out of order");
    }
    const InFlightStep step = std::move(state.in_flight.front());
    state.in_flight.pop_front();
    check_result(step, result);
    state.kv.end_step(step.step);
    state.cost_model.observe(step.num_tokens, step.context_tokens, static_cast<double>(result.compute_us));
    ++state.totals.num_steps;
    policy_.on_event(policy_event(POLICY_EVENT_STEP_COMPLETED, event.now, result.compute_us));

    for (const PromptLogprobs& prompt : result.prompts) {
        const bool wanted = std::any_of(step.rows.begin(), step.rows.end(), [&](const InFlightRow& row) {
            return row.id == prompt.id && row.fate != RowFate::dropped;
        });
        if (wanted) actions.emplace_back(EmitPromptLogprobs{prompt});
    }
    actions.reserve(actions.size() + step.rows.size());
    auto sampled = result.sampled.begin();
    for (const InFlightRow& row : step.rows) {
        const SampledTokens* tokens = row.kind == RowKind::sample ? &*sampled++ : nullptr;
        if (row.fate == RowFate::dropped) continue;
        Sequence& sequence = *row.sequence;
        if (row.fate == RowFate::live) state.complete_row(sequence, row.num_new_tokens);
        if (tokens == nullptr) continue;
        if (tokens->tokens.front() == no_token) {
            finish(state, policy_, event.now, sequence, FinishReason::failed, num_generated(sequence),
                   actions, no_finite_logits());
            continue;
        }
        actions.emplace_back(
            EmitToken{row.id, state.epoch, num_generated(sequence), tokens->tokens, tokens->logprobs});
        sequence.spec.tokens.push_back(tokens->tokens.front());
        // What was looked up since the preemption was the beginning of a block that goes on with this token.
        if (row.fate == RowFate::kv_lost) sequence.prefix = sequence.below = {};
        --sequence.num_pending_samples;
        sequence.num_worker_deaths = 0;
        if (num_generated(sequence) == 1) sequence.first_token_time = event.now;
        sequence.last_token_time = event.now;
        ++state.totals.num_generated_tokens;
        state.plans_without_token = 0;
        if (auto reason = end_of(state, sequence)) {
            finish(state, policy_, event.now, sequence, *reason, num_generated(sequence), actions);
        }
    }
}

void Scheduler::on(const WorkerLost& event, std::vector<Action>& actions) {
    SchedulerState& state = *state_;
    if (!state.worker_ready || event.epoch != state.epoch) return;
    for (SequenceId id : lose_worker(state)) {
        Sequence* sequence = state.find(id);
        if (sequence == nullptr || ++sequence->num_worker_deaths < deaths_to_fail) continue;
        Error error{ErrorCode::internal,
                    "The worker died three times while computing this request's next token.",
                    {},
                    "worker_crashed_on_request"};
        finish(state, policy_, event.now, *sequence, FinishReason::failed, num_generated(*sequence), actions,
               std::move(error));
    }
    policy_.on_event(policy_event(POLICY_EVENT_WORKER_LOST, event.now));
}

void Scheduler::on(const WorkerReady& event, std::vector<Action>& actions) {
    if (event.epoch <= state_->epoch) return;
    // News of the old worker's end may be overtaken by the new one's arrival.
    if (state_->worker_ready) on(WorkerLost{event.now, state_->epoch}, actions);
    if (!event.tiers_survive) state_->swapper.lose_tiers();
    state_->epoch = event.epoch;
    state_->worker_ready = true;
    policy_.on_event(policy_event(POLICY_EVENT_WORKER_READY, event.now));
}

void Scheduler::on(const PolicyReplaced& event, std::vector<Action>&) {
    for (const Sequence* sequence : state_->by_arrival) {
        policy_.on_event(
            policy_event(POLICY_EVENT_LIVE, event.now, sequence->spec, num_generated(*sequence)));
    }
}

void Scheduler::on(const MoveCompleted& event, std::vector<Action>&) {
    if (!state_->worker_ready || event.done.epoch != state_->epoch) return;
    state_->swapper.completed(event.done, event.now);
}

SchedulerStats Scheduler::stats() const {
    SchedulerStats stats = state_->totals;
    for (const Sequence* sequence : state_->by_arrival) {
        ++(sequence->status == SequenceStatus::running ? stats.num_running : stats.num_waiting);
    }
    stats.steps_in_flight = static_cast<std::uint32_t>(state_->in_flight.size());
    stats.free_blocks = state_->kv.num_free();
    stats.cached_blocks = state_->kv.num_idle();
    stats.total_blocks = state_->kv.num_blocks();
    stats.step_cost = state_->cost_model.cost();
    stats.swap = state_->swapper.stats();
    return stats;
}

std::uint32_t Scheduler::suspect_deaths() const {
    std::uint32_t most = 0;
    for (const Sequence* sequence : state_->by_arrival) most = std::max(most, sequence->num_worker_deaths);
    return most;
}

const std::string& Scheduler::last_rejection() const { return state_->last_rejection; }

std::uint64_t Scheduler::num_looked_up() const { return planner_->num_looked_up(); }

const Sequence* Scheduler::find(SequenceId id) const { return state_->find(id); }

std::vector<BlockId> Scheduler::block_table(SequenceId id) const {
    const Sequence* sequence = state_->find(id);
    if (sequence == nullptr || sequence->status != SequenceStatus::running) return {};
    return state_->kv.block_table(sequence->block_table);
}

}  // namespace troupe
