#include "engine/simulator/simulator.hpp"

#include <stdexcept>

#include "engine/simulator/virtual_replica.hpp"
#include "policies/fcfs.hpp"
#include "tests/catch.hpp"

using namespace troupe;

namespace {

// A step takes a millisecond and ten microseconds a token.
class PlainCosts final : public StepCosts {
  public:
    double step_us(const StepFeatures& step) const override { return 1000 + 10.0 * step.tokens; }
};

// Computing is dear: a fifth of a millisecond a token.
class DearCosts final : public StepCosts {
  public:
    double step_us(const StepFeatures& step) const override { return 1000 + 200.0 * step.tokens; }
};

SimulationOptions small_server() {
    SimulationOptions options;
    options.scheduler.max_num_batched_tokens = 64;
    options.scheduler.max_num_seqs = 8;
    options.scheduler.max_model_len = 512;
    options.scheduler.num_blocks = 128;
    options.scheduler.end_token_ids = {0};
    return options;
}

std::unique_ptr<PolicyPort> fcfs() { return std::make_unique<TablePolicyPort>(fcfs_policy()); }

Workload steady(std::size_t count, std::uint32_t prompt, std::uint32_t output, double rate) {
    Workload workload = synthetic_workload({.count = count, .prompt_mean = prompt, .output_mean = output});
    set_arrivals(workload, {.rate = rate, .seed = 3});
    return workload;
}

}  // namespace

TEST_CASE("a request alone takes the time of its steps and what the server adds") {
    Workload workload = steady(1, 40, 3, 1);
    SimulationOptions options = small_server();
    options.overheads = {.request_us = 500, .request_us_per_token = 10, .emit_us = 200, .gap_us = 50};
    const auto result = simulate(workload, options, PlainCosts(), fcfs);
    REQUIRE(result.requests.size() == 1);
    const RequestOutcome& request = result.requests[0];
    CHECK(request.served);
    CHECK(request.output_tokens == 3);
    CHECK(request.first_token == 500 + 400 + 1000 + 400 + 200);  // 40 tokens in one step
    CHECK(request.last_token - request.first_token == 2 * (1000 + 10 + 50));
    CHECK(result.itl.count() == 2);
    CHECK(result.steps >= 3);
}

TEST_CASE("everybody ends with all tokens, whatever the pool, the run-ahead and the replicas") {
    for (const std::uint32_t blocks : {16U, 128U}) {
        for (const std::uint32_t ahead : {1U, 2U}) {
            for (const std::uint32_t replicas : {1U, 3U}) {
                SimulationOptions options = small_server();
                options.scheduler.num_blocks = blocks;
                options.scheduler.max_steps_in_flight = ahead;
                options.num_replicas = replicas;
                const auto result = simulate(steady(200, 100, 40, 100), options, PlainCosts(), fcfs);
                for (const RequestOutcome& request : result.requests) {
                    CHECK(request.served);
                    CHECK(request.output_tokens == 40);
                    CHECK(request.first_token > request.arrival);
                }
                if (blocks == 16 && replicas == 1) CHECK(result.preemptions > 0);
                CHECK(result.itl.count() == 200 * 39);
            }
        }
    }
}

TEST_CASE("the same inputs give the same result, another seed another one") {
    const SimulationOptions options = small_server();
    const auto run = [&](std::uint64_t seed) {
        Workload workload = synthetic_workload(
            {.count = 300, .prompt_mean = 60, .output_mean = 20, .spread = 0.9, .seed = seed});
        set_arrivals(workload, {.kind = Arrivals::gamma, .rate = 60, .seed = seed});
        std::vector<TimeUs> times;
        for (const RequestOutcome& request : simulate(workload, options, PlainCosts(), fcfs).requests)
            times.push_back(request.last_token);
        return times;
    };
    CHECK(run(1) == run(1));
    CHECK(run(1) != run(2));
}

TEST_CASE("an output that ends before max_tokens ends with its end token") {
    SimulationOptions options = small_server();
    options.max_tokens = 100;
    const auto result = simulate(steady(50, 30, 7, 50), options, PlainCosts(), fcfs);
    for (const RequestOutcome& request : result.requests) CHECK(request.output_tokens == 7);
}

TEST_CASE("what cannot be served is refused and counted") {
    Workload workload = steady(3, 40, 3, 1);
    workload.requests[1].prompt_tokens = 600;  // longer than the context
    const auto result = simulate(workload, small_server(), PlainCosts(), fcfs);
    CHECK(result.requests[0].served);
    CHECK_FALSE(result.requests[1].served);
    SimulationOptions options = small_server();
    options.max_open = 2;
    std::size_t refused = 0;
    for (const RequestOutcome& request :
         simulate(steady(100, 60, 30, 1000), options, PlainCosts(), fcfs).requests)
        refused += request.served ? 0 : 1;
    CHECK(refused > 50);
}

TEST_CASE("tenants share no prefixes") {
    Workload workload =
        synthetic_workload({.count = 2, .prompt_mean = 16, .output_mean = 2, .shared_prefix = 64});
    workload.requests[1].arrival = 1'000'000;
    const auto cached = [&] {
        return simulate(workload, small_server(), PlainCosts(), fcfs).requests[1].cached_tokens;
    };
    CHECK(cached() == 64);
    workload.requests[1].tenant = 1;
    CHECK(cached() == 0);
    workload.requests[1].tenant = 0;
    workload.requests[1].cache_salt = 1;
    CHECK(cached() == 0);
}

TEST_CASE("a step of more than a day is an error") {
    class Absurd final : public StepCosts {
      public:
        double step_us(const StepFeatures&) const override { return 1e300; }
    };
    CHECK_THROWS_AS(simulate(steady(1, 40, 3, 1), small_server(), Absurd(), fcfs), std::range_error);
}

TEST_CASE("more replicas wait less, and a busy one is busy") {
    const Workload workload = steady(500, 60, 20, 80);
    SimulationOptions options = small_server();
    const auto mean_ttft = [&](std::uint32_t replicas, double* busy) {
        options.num_replicas = replicas;
        const auto result = simulate(workload, options, PlainCosts(), fcfs);
        *busy = result.busy_us / (static_cast<double>(result.duration) * replicas);
        double sum = 0;
        for (const RequestOutcome& request : result.requests)
            sum += static_cast<double>(request.first_token - request.arrival);
        return sum / 500;
    };
    double busy_one = 0, busy_four = 0;
    CHECK(mean_ttft(4, &busy_four) < mean_ttft(1, &busy_one));
    CHECK(busy_one <= 1.0);
    CHECK(busy_four < busy_one);
}

TEST_CASE("measured curves are straight between their points and beyond the last") {
    const MeasuredCurve curve{{1, 4, 8}, {10, 40, 60}};
    CHECK(curve.at(0) == 0);
    CHECK(curve.at(1) == 10);
    CHECK(curve.at(2) == 20);
    CHECK(curve.at(6) == 50);
    CHECK(curve.at(12) == 80);
    const CalibratedCosts costs({curve, {{1, 2}, {5, 6}}, 0.5, 0.25, 0.125});
    CHECK(costs.step_us({4, 1, 10, 20, 40}) == 40 + 5 + 5 + 5 + 5);
}

TEST_CASE("a step on a known device takes what the roofline allows at least") {
    RooflineOptions options;
    options.shape.streamed_bytes = options.shape.weight_bytes = 1e9;
    options.shape.flops_per_token = 1e9;
    options.device.bandwidth = 1e12;
    options.device.flops = 1e14;
    options.reached_bandwidth = 0.5;
    options.reached_flops = 0.5;
    options.launch_us = 100;
    const RooflineCosts costs(options);
    CHECK(costs.step_us({1, 1, 0, 0, 0}) == 2000 + 100);
    CHECK(costs.step_us({1000, 1, 0, 0, 0}) == 20000 + 100);
}

TEST_CASE("preempted sequences come back from host memory or disk, in the time that moving takes") {
    SimulationOptions options = small_server();
    options.scheduler.num_blocks = 24;
    const Workload workload = steady(40, 20, 200, 1000);
    const auto recomputed = simulate(workload, options, DearCosts(), fcfs);
    CHECK(recomputed.preemptions > 20);
    CHECK(recomputed.blocks_out == 0);
    options.scheduler.host_pages = 200;
    options.scheduler.host_us_per_block = 5;
    const auto swapped = simulate(workload, options, DearCosts(), fcfs);
    CHECK(swapped.preemptions > 0);
    CHECK(swapped.blocks_out > 0);
    CHECK(swapped.blocks_in > 0);
    CHECK(swapped.blocks_spilled == 0);
    CHECK(swapped.step_tokens < recomputed.step_tokens);  // what came back was not computed again
    CHECK(swapped.busy_us < recomputed.busy_us);
    for (const RequestOutcome& request : swapped.requests) CHECK(request.output_tokens == 200);
    CHECK(simulate(workload, options, DearCosts(), fcfs).duration == swapped.duration);
    // A block of 16 tokens is computed in 3,200 us: what takes longer is not moved.
    options.scheduler.host_us_per_block = 5000;
    CHECK(simulate(workload, options, DearCosts(), fcfs).blocks_in == 0);
    options.scheduler.host_pages = 8;
    options.scheduler.disk_pages = 200;
    options.scheduler.host_us_per_block = 5;
    options.scheduler.disk_us_per_block = 20;
    const auto spilled = simulate(workload, options, DearCosts(), fcfs);
    CHECK(spilled.blocks_spilled > 0);
    for (const RequestOutcome& request : spilled.requests) CHECK(request.output_tokens == 200);
}

TEST_CASE("moves of one kind are done one after another, those of the other kind beside them") {
    VirtualMover mover(10, 100);
    CHECK(mover.next_end() == VirtualReplica::never);
    const BlockMove down{{Tier::device, 1}, {Tier::host, 2}}, further{{Tier::host, 2}, {Tier::disk, 3}};
    mover.begin(1000, {1, 7, {down, down}});
    mover.begin(1000, {1, 8, {further}});
    mover.begin(1005, {1, 9, {down}});
    CHECK(mover.next_end() == 1020);
    CHECK(mover.take() == MoveDone{1, 7, 2, 20});
    CHECK(mover.next_end() == 1030);
    CHECK(mover.take() == MoveDone{1, 9, 1, 10});
    CHECK(mover.next_end() == 1100);
    CHECK(mover.take() == MoveDone{1, 8, 1, 100});
}

TEST_CASE("without prefix caching nobody shares anything") {
    Workload workload =
        synthetic_workload({.count = 2, .prompt_mean = 16, .output_mean = 2, .shared_prefix = 64});
    workload.requests[1].arrival = 1'000'000;
    SimulationOptions options = small_server();
    options.prefix_caching = false;
    CHECK(simulate(workload, options, PlainCosts(), fcfs).requests[1].cached_tokens == 0);
}
