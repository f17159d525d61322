#include "actors/worker_actor.hpp"

#include <chrono>
#include <stdexcept>

namespace troupe {

namespace {

// Measures work, decides nothing: the real clock also under virtual time.
TimeUs now_us() {
    return std::chrono::duration_cast<std::chrono::microseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

// A disagreement between scheduler and mirror is a bug: this worker is of no more use.
template <class T>
T value_or_die(Result<T> result) {
    if (!result) throw std::logic_error(result.error().message);
    return std::move(result).value();
}

}  // namespace

WorkerState::WorkerState(WorkerActor::pointer self) : self_(self) {}

void WorkerState::start(const WorkerOptions& options, const WorkerOwner& owner) {
    epoch_ = options.epoch;
    fault_ = options.fault;
    mirror_.emplace(options.block_size, static_cast<std::uint32_t>(options.pool->num_blocks()));
    backend_ = options.make_backend(options.pool);
    self_->send(owner, WorkerStarted{epoch_, backend_->numerics()});
}

void WorkerState::execute(const StepPlan& plan, const StepReceiver& scheduler) {
    if (plan.epoch != epoch_) return;
    auto start = now_us();
    if (fault_.due(plan.step))
        throw std::runtime_error("injected fault in step " + std::to_string(plan.step));
    auto batch = value_or_die(mirror_->begin(plan));
    backend_->copy_blocks(plan.copies);
    backend_->execute(batch, output_);
    auto result = value_or_die(mirror_->complete(output_.tokens, output_.logprobs));
    auto end = now_us();
    result.compute_us = end - start;
    result.idle_us = last_end_ == 0 ? 0 : start - last_end_;
    last_end_ = end;
    self_->send(scheduler, std::move(result));
}

WorkerActor::behavior_type worker(WorkerActor::stateful_pointer<WorkerState> self, WorkerOptions options,
                                  WorkerOwner owner, StepReceiver scheduler) {
    exit_with_exceptions(self);
    self->state.start(options, owner);
    return {[self, scheduler](const StepPlan& plan) { self->state.execute(plan, scheduler); }};
}

}  // namespace troupe
