// The troupe in one object: the actor system, its root actors and the door to them. No CAF types here.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "actors/client_port.hpp"
#include "actors/swap_options.hpp"
#include "conf/config.hpp"
#include "core/status.hpp"
#include "model/backend.hpp"
#include "model/loader.hpp"

namespace troupe {

// A model with a replica of its own: frontends, scheduler, memory manager, worker, KV pool.
struct ServedModel {
    std::string name;                          // as clients ask for it, and as answers call it
    std::vector<std::string> aliases;          // further names that clients may ask for
    std::string root;                          // where it came from, for /v1/models
    std::shared_ptr<const LoadedModel> model;  // its generation defaults are what requests get
    BackendFactory backend;                    // pool and backend of one worker
    std::uint32_t num_blocks = 0;              // of the pool that `backend` makes
    std::uint32_t max_model_len = 0;           // prompt and generated tokens together
    SwapOptions swap = {};                     // tiers below the pool
};

struct TroupeOptions {
    Config config;                    // validated
    std::vector<ServedModel> models;  // at least one; the names differ
    // The restart budget of every model is spent: no worker will come any more. Called once, from an actor's
    // thread.
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

}  // namespace troupe
