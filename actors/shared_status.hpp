// What the port may read without asking an actor: written by the supervisors and the router, read by any
// thread.
#pragma once
#include <atomic>
#include <memory>
#include <string>

#include "actors/client_port.hpp"
#include "actors/metrics.hpp"
#include "actors/recording.hpp"

namespace troupe {

// One per replica.
struct SharedStatus {
    std::string model;  // as it is served
    std::atomic<bool> worker_lives{false};
    std::atomic<bool> ever_ready{false};
    std::atomic<bool> failed{false};   // there will be no worker any more
    std::atomic<StepId> last_step{0};  // planned by the replica's schedulers, one after another
    // Of /tokenize and /detokenize, those in work included.
    std::atomic<std::uint32_t> short_texts_waiting{0}, long_texts_waiting{0};
    Metrics metrics;
    std::shared_ptr<Recorder> recorder;  // of its schedulers' events; null: nothing is recorded

    ServerState state() const {
        if (failed) return ServerState::failed;
        if (worker_lives) return ServerState::ready;
        return ever_ready ? ServerState::no_worker : ServerState::loading;
    }
};

// One per process.
struct ServerStatus {
    std::atomic<bool> draining{false};
    std::atomic<std::size_t> responses_retained{0};
    std::atomic<std::uint64_t> responses_retained_bytes{0};
};

}  // namespace troupe
