#include "actors/scheduler_actor.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "policies/loader/make_policy.hpp"

namespace troupe {

namespace {

// It was tried when the server started or the policy was replaced; that it does not start again must not end
// the replica.
std::shared_ptr<PolicyPort> start_policy(const PolicyChoice& choice) {
    auto policy = make_policy(choice);
    if (policy) return *std::move(policy);
    spdlog::error("{} Fcfs decides instead.", policy.error().message);
    return *make_policy({});
}

}  // namespace

void SchedulerShell::start(const SchedulerOptions& options, const PolicyChoice& policy,
                           std::shared_ptr<SharedStatus> status, LossReceiver supervisor) {
    status_ = std::move(status);
    supervisor_ = std::move(supervisor);
    policy_ = std::make_unique<PolicySlot>(start_policy(policy));
    auto continued = options;
    continued.first_step = status_->last_step + 1;  // a predecessor may have numbered steps already
    PolicyPort* policy_port = policy_.get();
    if (auto& recorder = status_->recorder) {
        recorded_as_ = recorder->begin(status_->model, continued);
        recorded_policy_ = std::make_unique<RecordedPort>(*policy_, *recorder, recorded_as_);
        policy_port = recorded_policy_.get();
    }
    machine_ = std::make_unique<Scheduler>(continued, *policy_port);
}

TimeUs SchedulerShell::now() const { return now_us(self_); }

void SchedulerShell::submit(const SequenceSpec& spec, const TokenReceiver& receiver) {
    if (live_.count(spec.id) == 0) {
        self_->monitor(receiver);
        sequences_[receiver.address()] = spec.id;
        live_[spec.id] = {receiver, spec.arrival, 0, spec.tokens.size() > spec.num_prompt_tokens};
    }
    handle(RequestArrived{now(), spec});
}

void SchedulerShell::worker_up(Epoch epoch, const WorkerActor& worker,
                               const MemoryManagerActor& memory_manager) {
    const bool tiers_survive = memory_manager_ == memory_manager;
    worker_ = worker;
    memory_manager_ = memory_manager;
    handle(WorkerReady{now(), epoch, tiers_survive});
}

void SchedulerShell::worker_down(Epoch epoch) {
    request_to_blame_ = false;
    handle(WorkerLost{now(), epoch});
    self_->send(supervisor_, LossHandled{epoch, request_to_blame_, machine_->suspect_deaths()});
}

void SchedulerShell::replace_policy(const ReplacePolicy& message) {
    policy_->replace(message.policy);
    rejection_logged_ = false;
    handle(PolicyReplaced{now()});
    spdlog::info("the scheduling policy is {} now", message.choice.name);
}

void SchedulerShell::step_done(const StepResult& result) {
    if (result.idle_us > 0) status_->metrics.observe("worker_idle_seconds", seconds(result.idle_us));
    handle(StepCompleted{now(), result});
}

void SchedulerShell::receiver_down(const caf::actor_addr& source) {
    auto found = sequences_.find(source);
    if (found != sequences_.end()) handle(RequestCancelled{now(), found->second});
}

void SchedulerShell::handle(const Event& event) {
    auto& recorder = status_->recorder;
    if (recorder) recorder->event(recorded_as_, event);  // before the policy's answers to it
    auto actions = machine_->handle(event);
    for (const auto& action : actions) {
        const auto* execute = std::get_if<Execute>(&action);
        if (recorder && execute != nullptr) recorder->plan(recorded_as_, execute->plan);
        if (const auto* finish = std::get_if<Finish>(&action)) live_.at(finish->sequence).ending = true;
    }
    for (auto& action : actions) std::visit([this](auto& a) { carry_out(a); }, action);
    publish();
}

void SchedulerShell::carry_out(Execute& action) {
    std::size_t tokens = 0;
    for (const auto& added : action.plan.added) {
        auto& live = live_.at(added.id);
        if (live.started == 0)
            live.cached_tokens = std::min(added.num_computed_tokens, added.num_prompt_tokens);
    }
    for (const auto& row : action.plan.rows) {
        tokens += row.num_new_tokens;
        auto& live = live_.at(row.id);
        if (live.started == 0) {
            live.started = now();
            status_->metrics.observe("request_queue_time_seconds", seconds(live.started - live.arrival));
        }
    }
    status_->last_step = action.plan.step;
    status_->metrics.observe("iteration_tokens_total", static_cast<double>(tokens));
    self_->send(worker_, std::move(action.plan));
}

void SchedulerShell::carry_out(EmitToken& action) {
    auto& live = live_.at(action.sequence);
    if (!live.emitted) {
        live.emitted = true;
        status_->metrics.observe("request_prefill_time_seconds", seconds(now() - live.started));
    }
    self_->send(live.receiver,
                TokensEmitted{action.sequence, action.epoch, action.position, std::move(action.tokens),
                              live.ending, std::move(action.logprobs), live.cached_tokens});
}

void SchedulerShell::carry_out(EmitPromptLogprobs& action) {
    self_->send(live_.at(action.prompt.id).receiver, std::move(action.prompt));
}

void SchedulerShell::carry_out(Finish& action) {
    auto error = action.error.value_or(Error{});
    if (error.tag == "worker_crashed_on_request") {
        spdlog::error("sequence {}: {}", action.sequence, error.message);
        request_to_blame_ = true;
    }
    end(action.sequence, action.reason, action.num_generated, std::move(error));
}

void SchedulerShell::carry_out(Reject& action) {
    end(action.sequence, FinishReason::failed, 0, std::move(action.error));
}

void SchedulerShell::carry_out(Preempted& action) {
    self_->send(live_.at(action.sequence).receiver, SequencePreempted{action.sequence});
}

void SchedulerShell::carry_out(Move& action) { self_->send(memory_manager_, std::move(action.moves)); }

void SchedulerShell::end(SequenceId id, FinishReason reason, std::uint32_t num_generated, Error error) {
    self_->send(live_.at(id).receiver, SequenceEnded{id, reason, num_generated, std::move(error)});
    forget(id);
}

void SchedulerShell::forget(SequenceId id) {
    auto found = live_.find(id);
    if (found == live_.end()) return;
    self_->demonitor(found->second.receiver.address());
    sequences_.erase(found->second.receiver.address());
    live_.erase(found);
}

void SchedulerShell::publish() {
    auto stats = machine_->stats();
    auto& metrics = status_->metrics;
    metrics.set("num_requests_running", stats.num_running);
    metrics.set("num_requests_waiting", stats.num_waiting);
    metrics.set("kv_cache_usage_perc",
                static_cast<double>(stats.total_blocks - stats.free_blocks) / stats.total_blocks);
    metrics.set("prefix_cache_blocks", stats.cached_blocks);
    auto add = [&](const char* counter, std::uint64_t after, std::uint64_t before) {
        if (after != before) metrics.count(counter, static_cast<double>(after - before));
    };
    add("num_preemptions_total", stats.num_preemptions, published_.num_preemptions);
    add("prefix_cache_queries_total", stats.num_prefix_queries, published_.num_prefix_queries);
    add("prefix_cache_hits_total", stats.num_prefix_hits, published_.num_prefix_hits);
    add("requests_recovered_total", stats.num_recovered_sequences, published_.num_recovered_sequences);
    add("requests_shed_total", stats.num_shed_sequences, published_.num_shed_sequences);
    add("policy_decisions_rejected_total", stats.num_rejected_decisions, published_.num_rejected_decisions);
    if (stats.num_rejected_decisions != published_.num_rejected_decisions && !rejection_logged_) {
        rejection_logged_ = true;
        spdlog::warn("a decision of the policy was rejected, FCFS decides that step: {} (logged once)",
                     machine_->last_rejection());
    }
    publish_swap(stats.swap);
    published_ = stats;
}

void SchedulerShell::publish_swap(const SwapStats& stats) {
    auto& metrics = status_->metrics;
    const auto use = [&](const char* gauge, std::uint32_t used, std::uint32_t pages) {
        if (pages > 0) metrics.set(gauge, static_cast<double>(used) / pages);
    };
    use("swap_host_usage_perc", stats.host_pages_used, stats.host_pages);
    use("swap_disk_usage_perc", stats.disk_pages_used, stats.disk_pages);
    const SwapStats& before = published_.swap;
    const auto add = [&](const char* direction, std::uint64_t now, std::uint64_t then) {
        if (now != then) metrics.swapped(direction, static_cast<double>(now - then));
    };
    add("out", stats.blocks_out, before.blocks_out);
    add("in", stats.blocks_in, before.blocks_in);
    add("spilled", stats.blocks_spilled, before.blocks_spilled);
    add("failed", stats.blocks_failed, before.blocks_failed);
}

SchedulerActor::behavior_type scheduler(SchedulerActor::stateful_pointer<SchedulerShell> self,
                                        SchedulerOptions options, PolicyChoice policy,
                                        std::shared_ptr<SharedStatus> status, LossReceiver supervisor) {
    exit_with_exceptions(self);
    give_way_to_compute(self);
    auto& shell = self->state;
    shell.start(options, policy, std::move(status), std::move(supervisor));
    self->set_down_handler([&shell](const caf::down_msg& message) { shell.receiver_down(message.source); });
    return {
        [&shell](const StepResult& result) { shell.step_done(result); },
        [&shell](const SequenceSpec& spec, const TokenReceiver& receiver) { shell.submit(spec, receiver); },
        [&shell](const CancelSequence& m) {
            shell.handle(RequestCancelled{shell.now(), m.id});
        },
        [&shell](const StopSequence& m) {
            shell.handle(StopReached{shell.now(), m.id, m.epoch, m.position});
        },
        [&shell](const DeadlineDue& m) {
            shell.handle(DeadlineReached{shell.now(), m.id});
        },
        [&shell](const WorkerUp& m, const WorkerActor& worker, const MemoryManagerActor& memory) {
            shell.worker_up(m.epoch, worker, memory);
        },
        [&shell](const ReplacePolicy& m) { shell.replace_policy(m); },
        [&shell](const WorkerDown& m) { shell.worker_down(m.epoch); },
        [&shell](const MoveDone& m) {
            shell.handle(MoveCompleted{shell.now(), m});
        },
    };
}

}  // namespace troupe
