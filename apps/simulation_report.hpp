// What a simulation showed, for one policy or several side by side. Latencies as `troupe bench` defines them.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "apps/bench_report.hpp"
#include "engine/simulator/simulator.hpp"

namespace troupe {

// What devices cost; 0: not given.
struct DevicePrices {
    std::uint32_t devices = 1;  // in all
    double watts = 0;           // of one that computes; idle ones take idle_share of it
    double per_hour = 0;        // of one
    double per_kwh = 0;
};
constexpr double idle_share = 0.3;

struct SimulationReport {
    std::string policy;
    std::size_t completed = 0, refused = 0;
    std::size_t truncated = 0;  // ended at max_model_len; in everything but `completed`
    double duration = 0;        // seconds
    std::uint64_t input_tokens = 0, output_tokens = 0;  // of those served
    Distribution ttft, tpot, itl, e2el;
    std::optional<double> goodput;     // requests per second that met every objective
    std::optional<double> good_share;  // of all requests
    double utilization = 0;            // share of the replicas' time in steps
    double tokens_per_step = 0, kv_usage = 0;
    std::uint64_t preemptions = 0, rejected_decisions = 0, steps = 0;
    std::uint64_t shed = 0;                                           // of the refused, by the policy
    std::uint64_t blocks_out = 0, blocks_in = 0, blocks_spilled = 0;  // swapped
    double hit_rate = 0;                     // share of the prompts' tokens that were cached
    std::optional<double> fairness;          // see apps/fairness.hpp
    std::optional<double> service_lead;      // see apps/fairness.hpp
    std::optional<double> joules_per_token;  // generated
    std::optional<double> cost_per_million;  // generated tokens
};

SimulationReport make_simulation_report(const std::string& policy, const Workload& workload,
                                        const SimulationResult& result, std::uint32_t num_replicas,
                                        const BenchObjectives& objectives, const DevicePrices& prices);

std::string simulation_table(const std::vector<SimulationReport>& reports);

// What was simulated, as name and value.
using SimulationFacts = std::vector<std::pair<std::string, std::string>>;
std::string simulation_json(const SimulationFacts& facts, const std::vector<SimulationReport>& reports);

// Milliseconds of the requests that were served; tpot only of those with several tokens.
struct LatencySamples {
    std::vector<double> ttft, tpot, e2el;
};
LatencySamples latency_samples(const SimulationResult& result);

}  // namespace troupe
