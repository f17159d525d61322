// The root of a replica's tree: starts the others, numbers the epochs, restarts what dies with backoff under
// a budget. A server has one for each model; they know nothing of each other.
//
// An epoch is one incarnation of a replica's worker with its pool. Whatever member dies ends it for all: the
// scheduler is told, a new pool and worker follow; weights are shared and stay. The memory manager outlives a
// worker, and with it what was moved off the pool: the next worker has the same numerics, so KV is the same.
#pragma once
#include <deque>
#include <string>
#include <vector>

#include "actors/messages.hpp"
#include "actors/replica_options.hpp"

namespace troupe {

struct SupervisorState {
    explicit SupervisorState(SupervisorActor::pointer self) : self_(self) {}

    void start(ReplicaOptions options, RouterActor router);
    void pool_ready(Epoch epoch, std::shared_ptr<KvPool> pool);
    void worker_started(const WorkerStarted& message);
    void loss_handled(const LossHandled& message);
    void start_epoch(std::uint64_t generation);
    void replace_policy(const ReplacePolicy& message);
    void down(const caf::down_msg& message);
    void stop();  // all children, before the supervisor itself ends

    static inline const char* name = "supervisor";

  private:
    void spawn_scheduler();
    void spawn_frontend(std::uint32_t index);
    void end_epoch(const std::string& why);
    void plan_restart(std::uint32_t suspect_deaths);
    void give_up(const std::string& why);  // no worker any more: the router is told
    void stop_worker();
    void stop_memory_manager();
    std::int64_t now_ms() const;

    SupervisorActor::pointer self_;
    ReplicaOptions options_;
    RouterActor router_;
    SchedulerActor scheduler_;
    MemoryManagerActor memory_manager_;
    WorkerActor worker_;
    std::vector<FrontendActor> frontends_;
    Epoch epoch_ = 0;
    std::string numerics_;               // of the first worker; a later one must equal it
    bool loss_pending_ = false;          // the scheduler has yet to say whose fault a death was
    std::uint64_t generation_ = 0;       // of planned restarts: an older timer is stale
    std::deque<std::int64_t> restarts_;  // times of those in the window, ms
};

SupervisorActor::behavior_type supervisor(SupervisorActor::stateful_pointer<SupervisorState> self,
                                          ReplicaOptions options, RouterActor router);

}  // namespace troupe
