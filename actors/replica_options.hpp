// What the supervisor needs to start a replica; frozen when the system starts.
#pragma once
#include <memory>
#include <string>

#include "actors/memory_manager_actor.hpp"
#include "actors/shared_status.hpp"
#include "conf/config.hpp"
#include "engine/scheduler.hpp"
#include "model/backend.hpp"
#include "model/loader.hpp"
#include "policies/loader/make_policy.hpp"

namespace troupe {

// Beside those of --frontend-threads: the last but one for short texts of /tokenize and /detokenize, the last
// for long ones and for long prompts.
inline constexpr std::uint32_t text_frontends = 2;

struct ReplicaOptions {
    std::string name;  // of its model, as it is served
    SchedulerOptions scheduler;
    PolicyChoice policy;
    SupervisionConfig supervision;
    FaultInjection fault;
    std::uint32_t frontends = 1;
    bool own_threads = true;  // detached workers, schedulers, frontends; false in tests under virtual time
    BackendFactory backend;
    SwapOptions swap;
    SwapHooks swap_hooks = {};
    std::shared_ptr<const LoadedModel> model;
    std::shared_ptr<SharedStatus> status;
};

}  // namespace troupe
