// What `troupe simulate` was asked: flags, and what they mean together.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "apps/simulation_report.hpp"
#include "core/status.hpp"
#include "engine/simulator/simulator.hpp"

namespace troupe {

// Empty text and 0: not given.
struct SimulateFlags {
    // workload
    std::string trace, trace_model, arrivals;
    std::size_t num_requests = 0;
    double rate_scale = 1, request_rate = 0, load = 0, burstiness = 2, length_spread = 0;
    std::uint32_t burst = 8, input_len = 512, output_len = 128, shared_prefix = 0, tenants = 0,
                  priorities = 0;
    std::uint64_t seed = 0;
    // system
    std::string model, device = "h100", weight_dtype, kv_dtype, routing = "least-loaded";
    std::string policies = "fcfs";
    std::vector<std::string> policy_options;
    std::uint32_t gpus = 0, tensor = 0, pipeline = 0, replicas = 1;
    std::uint32_t max_num_seqs = 0, max_num_batched_tokens = 0, max_model_len = 0, block_size = 0,
                  kv_blocks = 0;
    std::uint32_t steps_in_flight = 0, max_waiting = 0, max_tokens = 0;
    bool oracle = false, no_prefix_caching = false;
    std::string swap_space, swap_disk_space;
    std::string ttft_target, tpot_target;
    // report
    std::vector<std::string> goodput;
    double price = 0, energy_price = 0, watts = 0;
};

struct NamedPolicy {
    std::string name;
    PolicyMaker make;
};

struct SimulationSetup {
    Workload workload;
    SimulationOptions options;
    std::unique_ptr<StepCosts> costs;
    std::vector<NamedPolicy> policies;
    DevicePrices prices;
    SimulationFacts facts;
};

// Errors name the flag at fault. With a load it runs the workload's beginning once to learn the capacity.
Result<SimulationSetup> set_up_simulation(const SimulateFlags& flags);

// Requests per second that one replica completes when there are always more waiting.
double capacity_of_replica(const SimulationSetup& setup);

}  // namespace troupe
