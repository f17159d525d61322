#include "actors/supervisor_actor.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <limits>

#include "actors/frontend_actor.hpp"
#include "actors/memory_manager_actor.hpp"
#include "actors/scheduler_actor.hpp"
#include "actors/worker_actor.hpp"

namespace troupe {

namespace {

// Detached in production, in the (deterministic) pool under test; monitored either way.
template <class Self, class F, class... Args>
auto spawn_child(Self* self, bool own_thread, F fun, Args&&... args) {
    return own_thread ? self->template spawn<caf::detached + caf::monitored>(fun, std::forward<Args>(args)...)
                      : self->template spawn<caf::monitored>(fun, std::forward<Args>(args)...);
}

SequenceLimits limits_of(const SchedulerOptions& options) {
    auto any_context = options;
    any_context.max_model_len = std::numeric_limits<std::uint32_t>::max();
    return {options.max_model_len, max_sequence_len(any_context)};
}

}  // namespace

void SupervisorState::start(ReplicaOptions options, RouterActor router) {
    options_ = std::move(options);
    router_ = std::move(router);
    self_->link_to(router_);
    frontends_.resize(options_.frontends + text_frontends);
    for (std::uint32_t i = 0; i < frontends_.size(); ++i) spawn_frontend(i);
    spawn_scheduler();
    start_epoch(generation_);
}

void SupervisorState::spawn_scheduler() {
    scheduler_ = spawn_child(self_, options_.own_threads, scheduler, options_.scheduler, options_.policy,
                             options_.status, caf::actor_cast<LossReceiver>(self_));
    self_->send(router_, SchedulerUp{options_.name}, scheduler_);
}

void SupervisorState::replace_policy(const ReplacePolicy& message) {
    options_.policy = message.choice;
    self_->send(scheduler_, message);
}

void SupervisorState::spawn_frontend(std::uint32_t index) {
    frontends_[index] =
        spawn_child(self_, options_.own_threads, frontend, options_.model, limits_of(options_.scheduler));
    self_->send(router_, FrontendUp{options_.name, index}, frontends_[index]);
}

void SupervisorState::start_epoch(std::uint64_t generation) {
    if (generation != generation_) return;
    ++epoch_;
    if (!memory_manager_) {  // one that outlived its epoch still has what was moved off the pool
        MemoryManagerOptions options{options_.name, options_.backend.make_pool, options_.swap,
                                     options_.own_threads, options_.swap_hooks};
        memory_manager_ =
            spawn_child(self_, options_.own_threads, memory_manager, std::move(options),
                        caf::actor_cast<PoolOwner>(self_), caf::actor_cast<MoveReceiver>(scheduler_));
    }
    self_->send(memory_manager_, CreatePool{epoch_});
}

void SupervisorState::pool_ready(Epoch epoch, std::shared_ptr<KvPool> pool) {
    if (epoch != epoch_ || !memory_manager_) return;
    WorkerOptions options{epoch_, options_.scheduler.block_size, options_.fault, std::move(pool),
                          options_.backend.make_backend};
    worker_ = spawn_child(self_, options_.own_threads, worker, std::move(options),
                          caf::actor_cast<WorkerOwner>(self_), caf::actor_cast<StepReceiver>(scheduler_));
}

void SupervisorState::worker_started(const WorkerStarted& message) {
    if (message.epoch != epoch_ || !worker_) return;
    if (numerics_.empty()) numerics_ = message.numerics;
    if (message.numerics != numerics_) {
        give_up("The restarted worker computes with other numerics (" + message.numerics + ") than before (" +
                numerics_ + "): running requests cannot continue with the same tokens.");
        return;
    }
    options_.status->worker_lives = true;
    options_.status->ever_ready = true;
    self_->send(scheduler_, WorkerUp{epoch_}, worker_, memory_manager_);
    spdlog::info("model {}: worker ready: epoch {}, {}", options_.name, epoch_, message.numerics);
}

void SupervisorState::down(const caf::down_msg& message) {
    auto reason = caf::to_string(message.reason);
    for (std::uint32_t i = 0; i < frontends_.size(); ++i) {
        if (message.source == frontends_[i]) {
            spdlog::error("model {}: frontend {} died ({}); restarting it", options_.name, i, reason);
            spawn_frontend(i);
            return;
        }
    }
    if (options_.status->failed) return;
    if (message.source == scheduler_) {
        // Its machines are gone, and with them the meaning of the pool and the tiers below. Request actors
        // submit again.
        spdlog::error("model {}: scheduler died ({}); restarting the replica", options_.name, reason);
        stop_worker();
        stop_memory_manager();
        spawn_scheduler();
        restarts_.push_back(now_ms());
        plan_restart(0);
    } else if (message.source == worker_) {
        end_epoch("worker died (" + reason + ")");
    } else if (message.source == memory_manager_) {
        memory_manager_ = nullptr;
        end_epoch("memory manager died (" + reason + ")");
    }
}

void SupervisorState::stop() {
    stop_worker();
    stop_memory_manager();
    self_->send_exit(scheduler_, caf::exit_reason::user_shutdown);
    for (const auto& member : frontends_) self_->send_exit(member, caf::exit_reason::user_shutdown);
}

void SupervisorState::end_epoch(const std::string& why) {
    spdlog::warn("model {}: {}; epoch {} ends", options_.name, why, epoch_);
    stop_worker();
    loss_pending_ = true;
    self_->send(scheduler_, WorkerDown{epoch_});
}

void SupervisorState::stop_worker() {
    options_.status->worker_lives = false;
    if (worker_) self_->send_exit(worker_, caf::exit_reason::kill);
    worker_ = nullptr;
}

void SupervisorState::stop_memory_manager() {
    if (memory_manager_) self_->send_exit(memory_manager_, caf::exit_reason::kill);
    memory_manager_ = nullptr;
}

// `suspect_deaths` of the restarts may be a request's fault: only when it goes on do they count.
void SupervisorState::plan_restart(std::uint32_t suspect_deaths) {
    loss_pending_ = false;
    const auto& limits = options_.supervision;
    auto now = now_ms();
    while (!restarts_.empty() && restarts_.front() <= now - limits.restart_window_ms) restarts_.pop_front();
    if (restarts_.size() > std::size_t{limits.restart_budget} + suspect_deaths) {
        give_up("The worker died " + std::to_string(restarts_.size()) + " times within " +
                std::to_string(limits.restart_window_ms / 1000) +
                " s, more than --restart-budget allows. The log above says why it died.");
        return;
    }
    auto doublings = std::min<std::size_t>(std::max<std::size_t>(restarts_.size(), 1) - 1, 20);
    auto wait = std::min<std::uint64_t>(std::uint64_t{limits.restart_backoff_ms} << doublings,
                                        limits.restart_backoff_max_ms);
    options_.status->metrics.count("worker_restarts_total");
    spdlog::info("model {}: restarting the worker in {} ms", options_.name, wait);
    self_->delayed_send(self_, std::chrono::milliseconds(wait), StartReplica{++generation_});
}

void SupervisorState::give_up(const std::string& why) {
    spdlog::error("model {}: {}", options_.name, why);
    stop_worker();
    stop_memory_manager();
    options_.status->failed = true;
    self_->send(router_, ReplicaFailed{options_.name, why});
}

// The scheduler has said whose fault it was. A culprit's deaths, this one and the two before it, do not
// count.
void SupervisorState::loss_handled(const LossHandled& message) {
    if (message.epoch != epoch_ || !loss_pending_) return;
    if (message.request_to_blame) {
        for (int i = 0; i < 2 && !restarts_.empty(); ++i) restarts_.pop_back();
    } else {
        restarts_.push_back(now_ms());
    }
    plan_restart(message.suspect_deaths);
}

std::int64_t SupervisorState::now_ms() const { return now_us(self_) / 1000; }

SupervisorActor::behavior_type supervisor(SupervisorActor::stateful_pointer<SupervisorState> self,
                                          ReplicaOptions options, RouterActor router) {
    self->set_down_handler([self](const caf::down_msg& message) { self->state.down(message); });
    self->set_exit_handler([self](const caf::exit_msg& message) {
        self->state.stop();
        self->quit(message.reason);
    });
    self->state.start(std::move(options), std::move(router));
    return {
        [self](const PoolReady& message, const PoolHandle& handle) {
            self->state.pool_ready(message.epoch, handle.pool);
        },
        [self](const WorkerStarted& message) { self->state.worker_started(message); },
        [self](const LossHandled& message) { self->state.loss_handled(message); },
        [self](const StartReplica& message) { self->state.start_epoch(message.generation); },
        [self](const ReplacePolicy& message) { self->state.replace_policy(message); },
    };
}

}  // namespace troupe
