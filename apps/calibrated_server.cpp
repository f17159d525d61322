#include "apps/calibrated_server.hpp"

#include <algorithm>

#include "apps/bench_client.hpp"
#include "apps/bench_workload.hpp"
#include "apps/local_troupe.hpp"
#include "apps/open_files.hpp"
#include "engine/simulator/simulator.hpp"
#include "net/server.hpp"
#include "policies/fcfs.hpp"

namespace troupe {
namespace {

constexpr double us_per_second = 1e6;

double median(std::vector<double> values) {
    if (values.empty()) return 0;
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

CalibratedCosts costs_of(const DeviceFile& device) {
    return CalibratedCosts({{device.tokens, device.tokens_us},
                            {device.logits, device.logits_us},
                            device.decode_context_us,
                            device.chunk_context_us,
                            device.chunk_pair_us});
}

// What a load shows to its clients, in microseconds: medians.
struct Seen {
    double ttft = 0, tpot = 0;
};

class ServerProbe {
  public:
    ServerProbe(BenchTarget target, std::uint32_t vocab_size)
        : target_(std::move(target)), vocab_size_(vocab_size) {}

    Result<Seen> ask(std::size_t concurrency, std::size_t requests, std::uint32_t input,
                     std::uint32_t output) {
        BenchPlan plan;
        plan.requests = uniform_workload(requests, input, output, seed_);
        seed_ += requests;  // nobody has seen these prompts
        plan.concurrency = concurrency;
        plan.vocab_size = vocab_size_;
        const BenchRun run = run_bench(target_, plan, [](const BenchOutcome&) {});
        std::vector<double> ttft, tpot;
        for (const BenchOutcome& outcome : run.outcomes) {
            if (!outcome.error.empty())
                return internal_error("calibrating: a request failed: " + outcome.detail);
            ttft.push_back(outcome.ttft * us_per_second);
            if (outcome.output_tokens < 2) continue;
            tpot.push_back((outcome.latency - outcome.ttft) * us_per_second / (outcome.output_tokens - 1));
        }
        return Seen{median(std::move(ttft)), median(std::move(tpot))};
    }

  private:
    BenchTarget target_;
    std::uint32_t vocab_size_;
    std::uint64_t seed_ = 1;
};

constexpr std::uint32_t short_prompt = 32, long_prompt = 384, output = 32, long_output = 64;

StepFeatures prefill_of(std::uint32_t prompt) {
    return {prompt, 1, 0, prompt, std::uint64_t{prompt} * (prompt + 1) / 2};
}
StepFeatures decode_of(std::uint32_t rows) {
    return {rows, rows, std::uint64_t{rows} * (short_prompt + output / 2), 0, 0};
}

// One request at a time: what is not in the steps is the server's.
Status calibrate_alone(ServerProbe& probe, std::uint32_t longest_prompt, DeviceFile& device) {
    const CalibratedCosts costs = costs_of(device);
    if (const auto warm = probe.ask(1, 3, short_prompt, output); !warm) return warm.error();
    const auto seen = probe.ask(1, 12, short_prompt, output);
    if (!seen) return seen.error();
    device.gap_us = std::max(0.0, seen->tpot - costs.step_us(decode_of(1)));
    const double at_short = seen->ttft - costs.step_us(prefill_of(short_prompt));
    const std::uint32_t prompt = std::min(long_prompt, longest_prompt);
    if (prompt > 2 * short_prompt) {
        const auto long_seen = probe.ask(1, 8, prompt, 2);
        if (!long_seen) return long_seen.error();
        const double at_long = long_seen->ttft - costs.step_us(prefill_of(prompt));
        device.request_us_per_token = std::max(0.0, (at_long - at_short) / (prompt - short_prompt));
    }
    device.request_us = std::max(0.0, at_short - device.request_us_per_token * short_prompt);
    return {};
}

// The same load in a simulation of what is known so far.
double simulated_tpot(const Config& config, const DeviceFile& device, std::uint32_t requests) {
    Workload workload =
        synthetic_workload({.count = requests, .prompt_mean = short_prompt, .output_mean = long_output});
    SimulationOptions options;
    options.scheduler.max_num_batched_tokens = config.engine.max_num_batched_tokens;
    options.scheduler.max_num_seqs = config.engine.max_num_seqs;
    options.scheduler.max_model_len = device.max_model_len;
    options.scheduler.block_size = device.block_size;
    options.scheduler.num_blocks = device.kv_blocks;
    options.scheduler.max_steps_in_flight = config.engine.max_steps_in_flight;
    options.overheads.gap_us = device.gap_us;
    const auto fcfs = [] { return std::make_unique<TablePolicyPort>(fcfs_policy()); };
    std::vector<double> tpot;
    for (const RequestOutcome& request : simulate(workload, options, costs_of(device), fcfs).requests)
        tpot.push_back(static_cast<double>(request.last_token - request.first_token) / (long_output - 1));
    return median(std::move(tpot));
}

// Several at a time: tokens are sent while the next step computes, on the same cores.
Status calibrate_together(ServerProbe& probe, const Config& config, DeviceFile& device) {
    MeasuredCurve extra{{1}, {0}};
    for (const std::uint32_t rows : {4U, 16U, 48U}) {
        if (rows > config.engine.max_num_seqs) break;
        std::vector<double> seen;
        for (int i = 0; i < 3; ++i) {
            const auto once = probe.ask(rows, rows, short_prompt, long_output);
            if (!once) return once.error();
            seen.push_back(once->tpot);
        }
        extra.x.push_back(rows);
        extra.us.push_back(std::max(0.0, median(seen) - simulated_tpot(config, device, rows)));
    }
    if (extra.x.size() < 2) return {};
    for (std::size_t i = 0; i < device.logits.size(); ++i)
        device.logits_us[i] += device.logits[i] > 1 ? extra.at(device.logits[i]) : 0;
    return {};
}

}  // namespace

Status calibrate_server(const Config& config, DeviceFile& device) {
    Config served = config;
    served.server.host = "127.0.0.1";
    served.server.port = 0;
    raise_open_file_limit();
    auto troupe = start_local_troupe(served, exit_on_give_up);
    if (!troupe) return troupe.error();
    const LocalModel& model = troupe->models.front();
    device.kv_blocks = model.kv.num_blocks;
    device.max_model_len = model.max_model_len;
    net::Server server(served.server, troupe->system->port());
    const auto port = server.start();
    if (!port) return port.error();
    wait_until_ready(troupe->system->port());
    auto target = parse_target("http://127.0.0.1:" + std::to_string(*port));
    if (!target) return target.error();
    target->model = model.name;
    ServerProbe probe(*target, 250);
    Status status = calibrate_alone(probe, model.max_model_len / 2, device);
    if (status) status = calibrate_together(probe, config, device);
    server.stop();
    troupe->system.reset();
    return status;
}

}  // namespace troupe
