// What the port may read without asking an actor: written by the supervisor and the router, read by any
// thread.
#pragma once
#include <atomic>

#include "actors/client_port.hpp"
#include "actors/metrics.hpp"

namespace troupe {

struct SharedStatus {
    std::atomic<bool> worker_lives{false};
    std::atomic<bool> ever_ready{false};
    std::atomic<bool> draining{false};
    std::atomic<StepId> last_step{0};  // planned by the replica's schedulers, one after another
    Metrics metrics;

    ServerState state() const {
        if (draining) return ServerState::draining;
        if (worker_lives) return ServerState::ready;
        return ever_ready ? ServerState::no_worker : ServerState::loading;
    }
};

}  // namespace troupe
