// The troupe in one object: the actor system, its root actors and the door to them. No CAF types here.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "actors/client_port.hpp"
#include "conf/config.hpp"
#include "core/status.hpp"
#include "engine/scheduler.hpp"
#include "model/backend.hpp"
#include "model/loader.hpp"

namespace troupe {

struct TroupeOptions {
    Config config;                             // validated
    std::shared_ptr<const LoadedModel> model;  // its generation defaults are what requests get
    std::string served_name;
    std::string root;              // where the model came from, for /v1/models
    BackendFactory backend;        // pool and backend of one worker
    std::uint32_t num_blocks = 0;  // of the pool that `backend` makes
    // The restart budget is spent: no worker will come any more. Called once, from an actor's thread.
    std::function<void(const std::string& why)> give_up;
};

class TroupeSystem {
  public:
    // Starts all actors and returns at once; the worker gets ready in the background (see ClientPort::state).
    static Result<std::unique_ptr<TroupeSystem>> start(TroupeOptions options);

    // Ends all requests (their sinks get an error) and waits for the actors. Stop the network first.
    ~TroupeSystem();
    TroupeSystem(const TroupeSystem&) = delete;
    TroupeSystem& operator=(const TroupeSystem&) = delete;

    ClientPort& port();

  private:
    struct Impl;
    explicit TroupeSystem(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

// What the scheduler makes of the configuration: limits of the model and the pool applied.
Result<SchedulerOptions> scheduler_options(const EngineConfig& config, const LoadedModel& model,
                                           std::uint32_t num_blocks);

}  // namespace troupe
