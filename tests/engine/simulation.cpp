#include "tests/engine/simulation.hpp"

#include <algorithm>
#include <stdexcept>

namespace troupe::test {

Simulation::Simulation(World world, PolicyPort& policy, std::uint32_t seed)
    : world_(std::move(world)),
      policy_(policy),
      seed_(seed),
      random_(seed),
      scheduler_(std::make_unique<Scheduler>(world_.options, policy)) {}

void Simulation::expect(bool holds, const std::string& what) const {
    if (holds) return;
    throw std::runtime_error("seed " + std::to_string(seed_) + ", event " + std::to_string(events_.size()) +
                             ": " + what + " (last rejection: " + scheduler_->last_rejection() + ")");
}

void Simulation::run() {
    for (int i = 0; i < world_.operations; ++i) operate();
    world_.disturbance = {.arrival = 0};
    if (!ready_) ready_worker();
    auto live = [&] {
        return std::any_of(requests_.begin(), requests_.end(),
                           [](const auto& r) { return !r.second.finished; });
    };
    for (int i = 0; live(); ++i) {
        expect(i < 2000000, "the run does not end");
        expect(!in_flight_.empty() || !moves_.empty(), "sequences are live and nothing is in flight");
        step();
    }
    while (!in_flight_.empty() || !moves_.empty()) step();
    expect(stats().free_blocks == world_.options.num_blocks, "blocks have leaked");
    expect(stats().num_running == 0 && stats().num_waiting == 0, "the scheduler remembers ended sequences");
}

void Simulation::operate() {
    const Disturbance& d = world_.disturbance;
    int dice = percent();
    auto falls = [&](int share) {
        dice -= share;
        return dice < 0;
    };
    if (falls(d.arrival)) return arrive();
    if (falls(d.cancel)) {
        if (Request* r = any_live()) handle(RequestCancelled{now_, r->spec.id});
        return;
    }
    if (falls(d.stop)) return send_stop();
    if (falls(d.deadline)) return reach_deadline();
    if (falls(d.worker_loss)) return lose_worker();
    if (falls(d.stale_result)) {
        if (!stale_.empty())
            handle(StepCompleted{now_, stale_[upto(static_cast<std::uint32_t>(stale_.size()))]});
        return;
    }
    if (falls(d.resubmission)) return resubmit();
    if (falls(d.scheduler_restart)) return restart_scheduler();
    if (falls(d.move)) return finish_move();
    if (!ready_) return ready_worker();
    step();
}

Simulation::Request* Simulation::any_live() {
    std::vector<Request*> live;
    for (auto& [id, request] : requests_) {
        if (!request.finished) live.push_back(&request);
    }
    return live.empty() ? nullptr : live[upto(static_cast<std::uint32_t>(live.size()))];
}

void Simulation::arrive() {
    Request request;
    SequenceSpec& spec = request.spec;
    spec.id = ++last_id_;
    spec.arrival = now_ - upto(3);  // ties, and arrivals out of order
    spec.priority = static_cast<std::int32_t>(upto(3));
    spec.tenant = upto(3);
    if (upto(4) == 0) spec.ttft_target = 1 + upto(1000);
    if (upto(4) == 0) spec.tpot_target = 1 + upto(100);
    spec.num_prompt_tokens = 1 + upto(world_.max_prompt);
    for (std::uint32_t i = 0; i < spec.num_prompt_tokens; ++i)
        spec.tokens.push_back(static_cast<TokenId>(upto(2)));
    share_prompt(spec);
    spec.cache_salt = std::to_string(rope_of(spec.num_prompt_tokens)) + (upto(4) == 0 ? "a" : "b");
    spec.sampling.seed = upto(3);
    if (upto(3) == 0) spec.sampling.presence_penalty = 1.0F;
    if (upto(4) == 0) spec.sampling.prompt_logprobs = 1;
    spec.stop.max_tokens = 1 + upto(world_.max_tokens);
    spec.stop.ignore_eos = upto(2) == 0;
    if (upto(4) == 0) spec.stop.stop_token_ids = {static_cast<TokenId>(upto(vocabulary))};
    if (world_.disturbance.deadline > 0 && upto(2) == 0) spec.deadline = now_ + 1 + upto(100);
    request.reference = run_alone(spec, world_.options.end_token_ids, world_.options.max_model_len);
    const SequenceSpec submitted = spec;
    requests_[spec.id] = std::move(request);
    handle(RequestArrived{now_, submitted});
}

// Sometimes the prompt of one before it, or that with its answer and more, as in a conversation.
void Simulation::share_prompt(SequenceSpec& spec) {
    if (requests_.empty() || upto(2) == 0) return;
    const auto back = upto(std::min<std::uint32_t>(3, static_cast<std::uint32_t>(requests_.size())));
    const Request& other = std::next(requests_.rbegin(), back)->second;
    std::vector<TokenId> tokens = other.spec.tokens;
    if (upto(2) == 0) {
        tokens.insert(tokens.end(), other.received.begin(), other.received.end());
        tokens.insert(tokens.end(), spec.tokens.begin(), spec.tokens.begin() + 1);
        if (tokens.size() > world_.max_prompt) tokens.resize(world_.max_prompt);
    }
    spec.tokens = tokens;
    spec.num_prompt_tokens = static_cast<std::uint32_t>(tokens.size());
    spec.tenant = other.spec.tenant;
    if (upto(2) == 0) spec.arrival = other.spec.arrival;
}

// A stop string somewhere in what was received so far; a second, lower one may still come.
void Simulation::send_stop() {
    Request* request = any_live();
    if (request == nullptr || request->received.empty()) return;
    const std::uint32_t position = upto(static_cast<std::uint32_t>(request->received.size()));
    request->stop_after = position;
    handle(StopReached{now_, request->spec.id, epoch_, position});
}

// A shell's timer, which may come early, late or for one without a deadline: only a deadline that has passed
// ends it.
void Simulation::reach_deadline() {
    Request* request = any_live();
    if (request == nullptr) return;
    handle(DeadlineReached{now_, request->spec.id});
    const bool passed = request->spec.deadline != 0 && now_ >= request->spec.deadline;
    expect(!passed || request->finished, "a deadline that has passed ends it at once");
}

// A request actor that lost its scheduler, or thinks so.
void Simulation::resubmit() {
    Request* request = any_live();
    if (request == nullptr) return;
    SequenceSpec spec = request->spec;
    spec.tokens.insert(spec.tokens.end(), request->received.begin(), request->received.end());
    request->deaths = 0;
    for (InFlight& step : in_flight_) step.replaced.insert(spec.id);
    handle(RequestArrived{now_, spec});
}

void Simulation::step() {
    if (in_flight_.empty()) {
        ++now_;
        return finish_move();
    }
    const StepPlan plan = std::move(in_flight_.front().plan);
    in_flight_.pop_front();
    auto batch = mirror_->begin(plan);
    expect(batch.ok(), batch.ok() ? "" : batch.error().message);
    model_->copy_blocks(plan.copies);
    auto result = mirror_->complete(model_->execute(*batch));
    expect(result.ok(), result.ok() ? "" : result.error().message);
    now_ += 10;
    result->compute_us = 10;
    handle(StepCompleted{now_, *result});
}

void Simulation::lose_worker() {
    if (!ready_) return;
    if (!in_flight_.empty()) {  // it died in the oldest step
        const InFlight& step = in_flight_.front();
        for (const PlanRow& row : step.plan.rows) {
            if (step.replaced.count(row.id) == 0) ++requests_.at(row.id).deaths;
        }
    }
    for (const InFlight& step : in_flight_) {
        StepResult late;
        late.epoch = epoch_;
        late.step = step.plan.step;
        for (const PlanRow& row : step.plan.rows) {
            if (row.kind == RowKind::sample)
                late.sampled.push_back({row.id, {static_cast<TokenId>(upto(vocabulary))}});
        }
        stale_.push_back(late);
    }
    in_flight_.clear();
    moves_.clear();
    tables_.clear();
    ready_ = false;
    const Epoch lost = epoch_;
    if (upto(4) == 0) return ready_worker();  // its successor is there before the news of its end
    handle(WorkerLost{now_, lost});
    for (const auto& [id, request] : requests_)
        expect(request.finished || request.deaths < 3, "three deaths end it");
}

void Simulation::ready_worker() {
    ++epoch_;
    ready_ = true;
    mirror_ = std::make_unique<InputBatch>(world_.options.block_size, world_.options.num_blocks);
    model_ = std::make_unique<FakeModel>(world_.options.block_size, world_.options.num_blocks);
    const bool tiers_survive = upto(4) > 0;
    if (!tiers_survive) pages_.clear();
    handle(WorkerReady{now_, epoch_, tiers_survive});
}

void Simulation::restart_scheduler() {
    scheduler_ = std::make_unique<Scheduler>(world_.options, policy_);
    events_.clear();
    actions_.clear();
    in_flight_.clear();
    moves_.clear();
    tables_.clear();
    for (auto& [id, request] : requests_) {
        if (request.finished) continue;
        SequenceSpec spec = request.spec;
        spec.tokens.insert(spec.tokens.end(), request.received.begin(), request.received.end());
        request.deaths = 0;
        handle(RequestArrived{now_, spec});
    }
    ready_worker();
}

// The memory manager gets to some job now: all of it, or it fails in between. Bytes move as late as they can.
void Simulation::finish_move() {
    if (moves_.empty()) return;
    const auto found = moves_.begin() + upto(static_cast<std::uint32_t>(moves_.size()));
    const MoveBlocks job = std::move(*found);
    moves_.erase(found);
    MoveDone done{job.epoch, job.job, static_cast<std::uint32_t>(job.moves.size()), 0};
    if (percent() < world_.disturbance.failed_move) {
        done.num_moved = upto(done.num_moved + 1);
        done.us = upto(1000);
        if (upto(2) == 0) now_ += 61'000'000;  // then a tier that failed is tried again
    }
    for (std::uint32_t i = 0; i < done.num_moved; ++i) {
        const auto& [from, to] = job.moves[i];
        const auto block =
            from.tier == Tier::device ? model_->read_block(from.slot) : pages_.at({from.tier, from.slot});
        if (to.tier == Tier::device) {
            model_->write_block(to.slot, block);
        } else {
            pages_[{to.tier, to.slot}] = block;
        }
    }
    handle(MoveCompleted{now_, done});
}

void Simulation::take(const Move& action) {
    expect(ready_ && action.moves.epoch == epoch_, "moves are for the memory manager that is there");
    expect(!action.moves.moves.empty(), "no empty moves");
    for (const BlockMove& move : action.moves.moves) {
        for (const MoveBlocks& other : moves_) {
            for (const BlockMove& theirs : other.moves) {
                expect(theirs.to != move.to && theirs.to != move.from && theirs.from != move.to,
                       "open moves write to nothing that others use");
            }
        }
    }
    moves_.push_back(action.moves);
}

void Simulation::handle(Event event) {
    events_.push_back(event);
    actions_.push_back(scheduler_->handle(event));
    const std::vector<Action> actions = actions_.back();
    bool executes_over = false;
    for (const Action& action : actions) {
        const bool executes = std::holds_alternative<Execute>(action);
        expect(!(executes && executes_over), "Execute comes before all else");
        executes_over = executes_over || !executes;
    }
    // What a plan may hold is judged by what its own event made known, so plans are looked at last.
    for (const Action& action : actions) {
        if (!std::holds_alternative<Execute>(action)) std::visit([&](const auto& a) { take(a); }, action);
    }
    for (const Action& action : actions) {
        if (const auto* execute = std::get_if<Execute>(&action)) take(*execute);
    }
    scheduler_->check_invariants();
    check_alone();
    if (in_flight_.empty() && ready_) check_mirror();
}

void Simulation::take(const Execute& action) {
    const StepPlan& plan = action.plan;
    expect(ready_ && plan.epoch == epoch_, "plans are for the worker that is there");
    expect(!plan.rows.empty(), "no empty steps");
    expect(in_flight_.size() < world_.options.max_steps_in_flight, "no more steps in flight than allowed");
    std::uint32_t tokens = 0;
    for (const PlanRow& row : plan.rows) {
        tokens += row.num_new_tokens;
        expect(!requests_.at(row.id).finished, "no row for an ended sequence");
    }
    expect(tokens <= world_.options.max_num_batched_tokens, "the token budget holds");
    expect(plan.rows.size() <= world_.options.max_num_seqs, "the limit of sequences holds");
    check_blocks(plan);
}

// A new block of this plan is used by no step in flight, and the plan's tables are as the deltas made them.
void Simulation::check_blocks(const StepPlan& plan) {
    auto check_new = [&](const std::vector<BlockId>& blocks) {
        for (const InFlight& step : in_flight_) {
            for (BlockId block : blocks)
                expect(step.blocks.count(block) == 0, "a block in flight was given out again");
        }
        for (const MoveBlocks& job : moves_) {
            for (const auto& [from, to] : job.moves) {
                for (const BlockPlace& place : {from, to})
                    expect(place.tier != Tier::device ||
                               std::find(blocks.begin(), blocks.end(), place.slot) == blocks.end(),
                           "a block of an open move was given out");
            }
        }
    };
    for (SequenceId id : plan.removed) tables_.erase(id);
    for (const AddedSequence& added : plan.added) {
        const auto shared = added.num_computed_tokens / world_.options.block_size;
        check_new({added.block_table.begin() + shared, added.block_table.end()});
        shared_tokens_ += added.num_computed_tokens;
        expect(added.num_computed_tokens == 0 || requests_.at(added.id).spec.sampling.prompt_logprobs < 0,
               "who needs logits takes no KV");
        tables_[added.id] = added.block_table;
    }
    for (const GrownSequence& grown : plan.grown) {
        check_new(grown.new_blocks);
        auto& table = tables_.at(grown.id);
        table.resize(table.size() - grown.num_replaced);
        table.insert(table.end(), grown.new_blocks.begin(), grown.new_blocks.end());
    }
    InFlight step{plan, {}, {}};
    for (const PlanRow& row : plan.rows)
        step.blocks.insert(tables_.at(row.id).begin(), tables_.at(row.id).end());
    in_flight_.push_back(std::move(step));
}

// Law 7: who saw two deaths since its last token shares no step, nor the time of one.
void Simulation::check_alone() const {
    std::set<SequenceId> ids;
    bool suspected = false;
    for (const InFlight& step : in_flight_) {
        for (const PlanRow& row : step.plan.rows) {
            ids.insert(row.id);
            const Request& request = requests_.at(row.id);
            suspected = suspected || (!request.finished && request.deaths >= 2);
        }
    }
    expect(!suspected || ids.size() == 1, "a suspect runs alone");
}

void Simulation::take(const EmitToken& action) {
    Request& request = requests_.at(action.sequence);
    expect(!request.finished, "no token after the end");
    expect(action.epoch == epoch_, "tokens carry the worker's epoch");
    expect(action.position == request.received.size(), "tokens come in order, none twice");
    request.received.insert(request.received.end(), action.tokens.begin(), action.tokens.end());
    expect(request.received.size() <= request.reference.generated.size(), "no token beyond the end");
    expect(request.received.back() == request.reference.generated[request.received.size() - 1],
           "tokens are those of a run alone");
    request.deaths = 0;
}

// Of a backend that knows none: whose they are and where they begin is what is checked.
void Simulation::take(const EmitPromptLogprobs& action) {
    const Request& request = requests_.at(action.prompt.id);
    expect(!request.finished, "no logprobs after the end");
    expect(request.spec.sampling.prompt_logprobs >= 0, "nobody asked for logprobs");
    expect(action.prompt.position >= 1 && action.prompt.position < request.spec.num_prompt_tokens,
           "they are of the prompt");
}

void Simulation::take(const Finish& action) {
    Request& request = requests_.at(action.sequence);
    expect(!request.finished, "it ends once");
    request.finished = true;
    if (action.error && action.error->tag == "slo_unreachable") {
        expect(request.received.empty() && action.num_generated == 0, "only what has not begun is shed");
    } else if (const auto* timer = std::get_if<DeadlineReached>(&events_.back())) {
        expect(timer->sequence == action.sequence, "a timer ends its own sequence only");
        expect(request.spec.deadline != 0 && timer->now >= request.spec.deadline, "it ends none too early");
        expect(action.reason == FinishReason::failed && action.error &&
                   action.error->code == ErrorCode::timed_out,
               "and says that the time is over");
        expect(action.num_generated == request.received.size(), "it keeps what it has");
        ++timed_out_;
    } else if (action.reason == FinishReason::failed) {
        expect(request.deaths == 3 && action.error && action.error->tag == "worker_crashed_on_request",
               "why it failed");
        ++crashed_;
    } else if (action.reason == FinishReason::cancelled) {
        expect(action.num_generated == request.received.size(), "a cancelled one keeps what it has");
    } else if (request.stop_after >= 0) {
        expect(action.num_generated == request.stop_after + 1, "it ends where it was stopped");
    } else {
        expect(request.received == request.reference.generated, "an ended one has all its tokens");
        expect(action.num_generated == request.received.size(), "and says so");
        expect(action.reason == request.reference.reason, "it ends for the right reason");
        ++completed_;
    }
}

void Simulation::take(const Reject& action) {
    Request& request = requests_.at(action.sequence);
    request.finished = true;
    const std::uint64_t longest = max_sequence_len(world_.options);
    const std::uint64_t wanted = request.spec.num_prompt_tokens + std::uint64_t{request.spec.stop.max_tokens};
    expect(request.spec.num_prompt_tokens >= world_.options.max_model_len || wanted > longest,
           "only what cannot fit is refused: " + action.error.message);
}

void Simulation::take(const Preempted& action) {
    expect(!requests_.at(action.sequence).finished, "no preemption after the end");
}

void Simulation::check_mirror() const {
    for (const auto& [id, request] : requests_) {
        const Sequence* sequence = scheduler_->find(id);
        if (request.finished) expect(sequence == nullptr, "an ended sequence is forgotten");
        if (sequence == nullptr || sequence->status != SequenceStatus::running) continue;
        const MirrorSequence* mirrored = mirror_->find(id);
        expect(mirrored != nullptr, "the worker knows every running sequence");
        expect(mirrored->tokens == sequence->spec.tokens, "the mirror's tokens are the scheduler's");
        expect(mirrored->num_computed_tokens == sequence->num_computed_tokens,
               "the mirror's KV is the scheduler's");
        expect(mirrored->block_table == scheduler_->block_table(id),
               "the mirror's blocks are the scheduler's");
    }
}

}  // namespace troupe::test
