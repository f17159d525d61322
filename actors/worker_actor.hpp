// One device: executes step plans on its backend, on a thread of its own, and dies of any exception. It knows
// nothing that cannot be rebuilt (design, law 2).
#pragma once
#include <functional>
#include <memory>
#include <optional>

#include "actors/messages.hpp"
#include "conf/config.hpp"
#include "engine/input_batch.hpp"
#include "model/backend.hpp"

namespace troupe {

struct WorkerOptions {
    Epoch epoch = 0;
    std::uint32_t block_size = 16;
    FaultInjection fault;
    std::shared_ptr<KvPool> pool;
    std::function<std::unique_ptr<Backend>(std::shared_ptr<KvPool>)> make_backend;
};

struct WorkerState {
    explicit WorkerState(WorkerActor::pointer self);

    void start(const WorkerOptions& options, const WorkerOwner& owner);
    void execute(const StepPlan& plan, const StepReceiver& scheduler);

    static inline const char* name = "worker";

  private:
    WorkerActor::pointer self_;
    FaultInjection fault_;
    Epoch epoch_ = 0;
    std::unique_ptr<Backend> backend_;
    std::optional<InputBatch> mirror_;
    ForwardOutput output_;
    TimeUs last_end_ = 0;  // of the step before; 0: none
};

// Detached.
WorkerActor::behavior_type worker(WorkerActor::stateful_pointer<WorkerState> self, WorkerOptions options,
                                  WorkerOwner owner, StepReceiver scheduler);

}  // namespace troupe
