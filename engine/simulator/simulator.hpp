// Replicas of one model under virtual time: the production Scheduler and KV cache, a workload, a cost model.
// Deterministic: the same inputs give the same result.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "engine/policy_port.hpp"
#include "engine/replica_choice.hpp"
#include "engine/scheduler.hpp"
#include "engine/simulator/measures.hpp"
#include "engine/simulator/step_costs.hpp"
#include "engine/simulator/workload.hpp"

namespace troupe {

// What a server adds to the machines: microseconds between the client and the scheduler.
struct ServerOverheads {
    double request_us = 0;            // from the client's send to the scheduler: HTTP, template, queues
    double request_us_per_token = 0;  // tokenizing
    double emit_us = 0;               // from the end of a step to the client
    double gap_us = 0;                // between two steps
};

struct SimulationOptions {
    SchedulerOptions scheduler;
    std::uint32_t num_replicas = 1;
    Routing routing = Routing::least_loaded;
    bool prefix_caching = true;    // requests share prefixes
    std::uint32_t max_open = 0;    // requests of one replica; beyond, they are refused. 0: no limit
    std::uint32_t max_tokens = 0;  // that every request allows; 0: what it will generate, as a benchmark does
    bool oracle = false;           // policies are told how long each output will be
    TimeUs ttft_target = 0, tpot_target = 0;  // of every request, for policies; 0: none
    ServerOverheads overheads;
};

struct RequestOutcome {
    TimeUs arrival = 0, first_token = 0, last_token = 0;  // as the client sees them
    TimeUs admitted = 0;                                  // first, by the scheduler's clock
    std::uint32_t output_tokens = 0;
    std::uint32_t cached_tokens = 0;  // of its prompt, when it was first admitted
    std::uint32_t preemptions = 0;
    std::uint32_t replica = 0;
    bool served = false;  // false: refused
};

struct SimulationResult {
    std::vector<RequestOutcome> requests;  // as in the workload
    DurationHistogram itl;
    Timeline timeline;
    TimeUs duration = 0;  // from the first arrival to the last end
    std::uint64_t steps = 0, step_tokens = 0, preemptions = 0, rejected_decisions = 0;
    std::uint64_t shed = 0;                                           // refused by the policy
    std::uint64_t blocks_out = 0, blocks_in = 0, blocks_spilled = 0;  // see SwapStats
    double busy_us = 0;                                               // sum over replicas
};

// One for each replica, made in order; each lives as long as the simulation.
using PolicyMaker = std::function<std::unique_ptr<PolicyPort>()>;
using SimulationProgress = std::function<void(std::size_t ended, std::size_t all)>;

// Throws std::range_error for costs of more than a day a step.
SimulationResult simulate(const Workload& workload, const SimulationOptions& options, const StepCosts& costs,
                          const PolicyMaker& make_policy, const SimulationProgress& progress = {});

}  // namespace troupe
