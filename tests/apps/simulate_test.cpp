#include <array>
#include <filesystem>
#include <fstream>

#include "apps/fairness.hpp"
#include "apps/policy_choice.hpp"
#include "apps/simulate_input.hpp"
#include "apps/simulation_page.hpp"
#include "apps/trace_file.hpp"
#include "conf/device_file.hpp"
#include "test_paths.hpp"
#include "tests/catch.hpp"

using namespace troupe;

namespace {

const std::string azure = TROUPE_TEST_DATA "/traces/azure_llm_2023_conv_200.csv";
const std::string mooncake = TROUPE_TEST_DATA "/traces/mooncake_conversation_80.jsonl";

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// A file that lives as long as the test.
class TextFile {
  public:
    explicit TextFile(const std::string& text) { std::ofstream(path()) << text; }
    ~TextFile() { std::filesystem::remove(path()); }
    std::string path() const {
        return (std::filesystem::temp_directory_path() / "troupe_simulate_test").string();
    }
};

std::string json_of(const SimulateFlags& flags) {
    const auto setup = set_up_simulation(flags);
    if (!setup) return "error: " + setup.error().message;
    std::vector<SimulationReport> reports;
    for (const NamedPolicy& policy : setup->policies) {
        const auto result = simulate(setup->workload, setup->options, *setup->costs, policy.make);
        reports.push_back(make_simulation_report(policy.name, setup->workload, result,
                                                 setup->options.num_replicas, {}, setup->prices));
    }
    return simulation_json(setup->facts, reports);
}

}  // namespace

TEST_CASE("the Azure trace is read with its arrivals and lengths") {
    const auto trace = read_trace(azure).value();
    REQUIRE(trace.requests.size() == 200);
    CHECK(trace.requests[0].arrival == 0);
    CHECK(trace.requests[1].arrival == 4314579);
    CHECK(trace.requests[1].prompt_tokens == 396);
    CHECK(trace.requests[1].output_tokens == 109);
}

TEST_CASE("Mooncake's trace is read with the content that prompts share") {
    const auto trace = read_trace(mooncake).value();
    REQUIRE(trace.requests.size() == 80);
    CHECK(trace.hash_tokens == 512);
    CHECK(trace.requests[0].num_hashes == 14);
    const auto first = prompt_of(trace, 0), second = prompt_of(trace, 1);
    CHECK(std::equal(first.begin(), first.begin() + 512, second.begin()));
    CHECK(first[512] != second[512]);
}

TEST_CASE("malformed traces are errors with their line") {
    for (const char* line :
         {"{\"timestamp\": 0, \"input_length\": 0, \"output_length\": 1}", "{\"timestamp\": -1}", "{",
          "{\"timestamp\": 0, \"input_length\": 5, \"output_length\": 1, \"hash_ids\": [-1]}",
          "{\"timestamp\": 0, \"input_length\": 99999999999, \"output_length\": 1}"}) {
        const TextFile file(std::string("{\"timestamp\": 0, \"input_length\": 5, \"output_length\": 1}\n") +
                            line + "\n");
        const auto trace = read_trace(file.path());
        REQUIRE_FALSE(trace.ok());
        CHECK(has(trace.error().message, ":2:"));
    }
    CHECK_FALSE(read_trace("/nonexistent").ok());
}

TEST_CASE("a byte order mark, no header, no such day, a directory") {
    const std::string rows = "2024-02-28 23:59:59.5,10,2\n2024-02-29 00:00:00.5,20,3\n";
    {
        const TextFile bare(rows);
        CHECK(read_trace(bare.path()).value().requests.size() == 2);
    }
    const TextFile marked("\xEF\xBB\xBFTIMESTAMP,ContextTokens,GeneratedTokens\r\n" + rows);
    const auto trace = read_trace(marked.path()).value();
    REQUIRE(trace.requests.size() == 2);
    CHECK(trace.requests[1].arrival == 1000000);
    CHECK(trace.requests[0].prompt_tokens == 10);
}

TEST_CASE("JSON lines after a byte order mark, and what is no trace") {
    {
        const TextFile file("\xEF\xBB\xBF{\"timestamp\": 0, \"input_length\": 5, \"output_length\": 1}\n");
        CHECK(read_trace(file.path()).value().requests.size() == 1);
    }
    const TextFile file("TIMESTAMP,ContextTokens,GeneratedTokens\n2024-02-30 00:00:00,10,2\n");
    CHECK(has(read_trace(file.path()).error().message, ":2:"));
    CHECK(has(read_trace(std::filesystem::temp_directory_path().string()).error().message, "cannot read"));
}

TEST_CASE("a device file is read as it was written") {
    DeviceFile device;
    device.name = "a \"machine\"";
    device.model = "m";
    device.kv_blocks = 100;
    device.block_size = 16;
    device.max_model_len = 2048;
    device.max_num_seqs = 12;
    device.max_num_batched_tokens = 96;
    device.max_steps_in_flight = 1;
    device.tokens = {1, 8, 512};
    device.tokens_us = {100, 150.25, 9000};
    device.logits = {1, 64};
    device.logits_us = {10, 300};
    device.decode_context_us = 0.0125;
    device.gap_us = 30;
    const TextFile file(device_file_text(device));
    const auto again = read_device_file(file.path()).value();
    CHECK(device_file_text(again) == device_file_text(device));
    CHECK(again.name == device.name);
    CHECK(again.tokens_us == device.tokens_us);
    CHECK(again.decode_context_us == 0.0125);
    CHECK(again.kv_blocks == 100);
    SimulateFlags flags;
    flags.device = file.path();
    const SchedulerOptions scheduler = set_up_simulation(flags).value().options.scheduler;
    CHECK(scheduler.max_num_seqs == 12);
    CHECK(scheduler.max_num_batched_tokens == 96);
    CHECK(scheduler.max_steps_in_flight == 1);
}

TEST_CASE("a device file that makes no sense is an error that names the key") {
    const std::pair<const char*, const char*> cases[] = {
        {"[step]\ntokens = [1, 2]\ntokens_us = [1]\n", "step.tokens"},
        {"[step]\ntokens = [2, 1]\ntokens_us = [1, 1]\n", "ascend"},
        {"[device]\nbandwidht = 1\n", "device.bandwidht"},
        {"[device]\nbandwidth = -1\nflops = 1\n", "device.bandwidth"},
        {"[device]\nbandwidth = 1\n", "device.flops"},
        {"[engine]\nkv_blocks = 0.5\n", "engine.kv_blocks"},
        {"[step]\ntokens = [1]\ntokens_us = [1e300]\n", "step.tokens_us"},
        {"[step]\ntokens = [1]\ntokens_us = [1]\n[server]\ngap_us = 1e300\n", "server.gap_us"},
        {"[device]\nbandwidth = 1e300\nflops = 1\n", "device.bandwidth"},
        {"x = [\n", ":"},
    };
    for (const auto& [text, part] : cases) {
        const TextFile file(text);
        const auto device = read_device_file(file.path());
        REQUIRE_FALSE(device.ok());
        CHECK(has(device.error().message, part));
    }
}

TEST_CASE("a simulation of a trace: the same flags, the same bytes") {
    SimulateFlags flags;
    flags.trace = azure;
    flags.rate_scale = 20;
    const std::string once = json_of(flags);
    CHECK(has(once, "\"completed\":200"));
    CHECK(has(once, "\"requests\":\"200\""));
    CHECK(once == json_of(flags));
    flags.num_requests = 450;
    CHECK(has(json_of(flags), "\"completed\":450"));
    flags.load = 0.5;
    CHECK(has(json_of(flags), "\"capacity_requests_per_second\""));
    flags.trace = mooncake;
    flags.max_model_len = 200000;
    CHECK(has(json_of(flags), "\"completed\":450"));
}

TEST_CASE("a calibrated device takes no flags that would change nothing") {
    const TextFile file(
        "[device]\nmodel = \"m\"\n[engine]\nkv_blocks = 4096\n[step]\ntokens = [1]\ntokens_us = [50]\n");
    const auto with = [&](auto change) {
        SimulateFlags flags;
        flags.device = file.path();
        flags.num_requests = 10;
        change(flags);
        return json_of(flags);
    };
    CHECK(has(with([](auto&) {}), "\"completed\":10"));
    CHECK(has(with([](auto& f) { f.model = "llama-3-8b"; }), "--model has no effect"));
    CHECK(has(with([](auto& f) { f.kv_dtype = "f16"; }), "--kv-dtype has no effect"));
    CHECK(has(with([](auto& f) { f.weight_dtype = "f16"; }), "--weight-dtype has no effect"));
    CHECK(has(with([](auto& f) { f.gpus = 2; }), "--gpus has no effect"));
    CHECK(has(with([](auto& f) { f.tensor = 2; }), "--tp has no effect"));
}

TEST_CASE("a request that ends at max_model_len is counted apart") {
    SimulateFlags flags;
    flags.num_requests = 10;
    flags.input_len = 100;
    flags.output_len = 50;
    flags.max_model_len = 120;
    const std::string json = json_of(flags);
    CHECK(has(json, "\"completed\":0,\"refused\":0,\"shed\":0,\"truncated\":10"));
}

TEST_CASE("a trace says who asks and what for") {
    const std::string lengths = "{\"timestamp\": 0, \"input_length\": 5, \"output_length\": 1";
    {
        const TextFile file(
            lengths +
            ", \"priority\": -2, \"tenant\": 7, \"cache_salt\": \"a\", \"ttft_target_ms\": 250.5, "
            "\"tpot_target_ms\": 20}\n" +
            lengths + ", \"cache_salt\": \"b\"}\n" + lengths + "}\n");
        const auto trace = read_trace(file.path()).value();
        CHECK(trace.requests[0].priority == -2);
        CHECK(trace.requests[0].tenant == 7);
        CHECK(trace.requests[0].ttft_target == 250500);
        CHECK(trace.requests[0].tpot_target == 20000);
        CHECK(trace.requests[0].cache_salt != trace.requests[1].cache_salt);
        CHECK(trace.requests[1].cache_salt != 0);
        CHECK(trace.requests[2].cache_salt == 0);
    }
    for (const char* bad :
         {"\"priority\": 1.5", "\"tenant\": -1", "\"cache_salt\": 1", "\"ttft_target_ms\": 0"}) {
        const TextFile file(lengths + ", " + bad + "}\n");
        CHECK(has(read_trace(file.path()).error().message, ":1:"));
    }
}

TEST_CASE("priorities are drawn evenly") {
    SimulateFlags flags;
    flags.num_requests = 300;
    flags.priorities = 3;
    const auto setup = set_up_simulation(flags).value();
    std::array<int, 3> counts{};
    for (const WorkloadRequest& request : setup.workload.requests)
        ++counts.at(static_cast<std::size_t>(request.priority));
    for (const int count : counts) CHECK(count > 60);
}

TEST_CASE("the device named cpu runs the default model") {
    SimulateFlags flags;
    flags.device = "cpu";
    flags.num_requests = 10;
    CHECK(has(json_of(flags), "\"completed\":10"));
}

TEST_CASE("hash ids of any size keep prompts apart") {
    const std::string rest = "\"input_length\": 512, \"output_length\": 1, \"hash_ids\": [";
    const TextFile file("{\"timestamp\": 0, " + rest + "1073741823]}\n{\"timestamp\": 1, " + rest +
                        "18446744073709551615]}\n{\"timestamp\": 2, " + rest + "1073741823]}\n");
    auto trace = read_trace(file.path()).value();
    CHECK(trace.hashes == std::vector<std::uint32_t>{0, 1, 0});
    REQUIRE(repeat(trace, 6).ok());
    CHECK(trace.hashes == std::vector<std::uint32_t>{0, 1, 0, 2, 3, 2});
    trace.hashes[1] = 0x3FFFFFFE;
    CHECK_FALSE(repeat(trace, 24).ok());
}

TEST_CASE("flags of a simulation that make no sense are named") {
    const auto error = [](auto change) {
        SimulateFlags flags;
        flags.num_requests = 10;
        change(flags);
        return json_of(flags);
    };
    CHECK(has(error([](auto& f) { f.device = "h999"; }), "--device"));
    CHECK(has(error([](auto& f) { f.model = "llama-9"; }), "--model"));
    CHECK(has(error([](auto& f) { f.model = "llama-3-70b"; }), "--gpus"));
    CHECK(has(error([](auto& f) { f.policies = "fcfs,nonsense"; }), "--policy"));
    CHECK(has(error([](auto& f) { f.routing = "random"; }), "--routing"));
    CHECK(has(error([](auto& f) { f.ttft_target = "50"; }), "--ttft-target"));
    CHECK(has(error([](auto& f) { f.load = 0.5, f.request_rate = 1; }), "--load"));
    CHECK(has(error([](auto& f) { f.gpus = 3, f.tensor = 2; }), "--gpus"));
    CHECK(has(error([](auto& f) { f.gpus = f.tensor = 3; }), "--tp 3"));
    CHECK(has(error([](auto& f) { f.gpus = 3; }), "\"devices_per_replica\":\"3\""));
}

TEST_CASE("tiers take the device's bandwidths and a block's bytes") {
    SimulateFlags flags;
    flags.num_requests = 10;
    flags.swap_space = "4GiB";
    flags.swap_disk_space = "8GiB";
    const SchedulerOptions one = set_up_simulation(flags).value().options.scheduler;
    CHECK(one.host_pages == 2048);  // a block of 16 tokens of Llama 3 8B has 2 MiB
    CHECK(one.disk_pages == 4096);
    CHECK(std::fabs(one.host_us_per_block - 2097152 / 54e3) < 1e-3);
    CHECK(std::fabs(one.disk_us_per_block - 2097152 / 5e3) < 1e-3);
    flags.gpus = 2;  // each copies its half
    const SchedulerOptions two = set_up_simulation(flags).value().options.scheduler;
    CHECK(two.host_pages == 2048);
    CHECK(std::fabs(two.host_us_per_block - 1048576 / 54e3) < 1e-3);
    CHECK(std::fabs(two.disk_us_per_block - 2097152 / 5e3) < 1e-3);
    flags.swap_space = "1MiB";
    CHECK(has(json_of(flags), "--swap-space: 1MiB is less than one block"));
    flags.swap_space = "much";
    CHECK(has(json_of(flags), "--swap-space"));
}

TEST_CASE("a calibrated device swaps if its file says how") {
    const std::string steps = "[step]\ntokens = [1]\ntokens_us = [50]\n";
    const auto answer = [&](const std::string& device, const std::string& engine) {
        const TextFile file("[device]\nmodel = \"m\"\n" + device + "[engine]\nkv_blocks = 4096\n" + engine +
                            steps);
        SimulateFlags flags;
        flags.device = file.path();
        flags.num_requests = 10;
        flags.swap_space = "1GiB";
        return json_of(flags);
    };
    CHECK(has(answer("", ""), "--swap-space needs kv_bytes_per_token in [engine]"));
    CHECK(has(answer("", "kv_bytes_per_token = 65536\n"), "--swap-space needs host_bandwidth in [device]"));
    CHECK(has(answer("host_bandwidth = 4e9\n", "kv_bytes_per_token = 65536\n"), "\"host_blocks\":\"1024\""));
}

TEST_CASE("swapping and shedding are in the report, on the page as well") {
    SimulateFlags flags;
    flags.trace = azure;
    flags.rate_scale = 40;
    flags.kv_blocks = 600;
    flags.swap_space = "4GiB";
    flags.policies = "slo";
    flags.policy_options = {"shed=1"};
    flags.ttft_target = "300ms";
    const auto setup = set_up_simulation(flags);
    REQUIRE(setup.ok());
    const auto result = simulate(setup->workload, setup->options, *setup->costs, setup->policies[0].make);
    const auto report = make_simulation_report("slo", setup->workload, result, 1, {}, {});
    CHECK(report.shed > 0);
    CHECK(report.refused >= report.shed);
    CHECK(report.blocks_out > 0);
    const std::string page = simulation_page(setup->facts, {report}, {curves_of("slo", result, 1)});
    CHECK(has(page, "slo: " + std::to_string(report.refused) + " refused, " + std::to_string(report.shed) +
                        " of them shed by the policy, and 0 cut short of 200 requests."));
    CHECK(has(simulation_table({report}), "KV blocks swapped out"));
    CHECK(has(json_of(flags), "\"blocks_swapped_out\":" + std::to_string(report.blocks_out)));
    flags.swap_space.clear();
    flags.no_prefix_caching = true;
    CHECK(has(json_of(flags), "\"prefix_caching\":\"off\""));
    CHECK(has(json_of(flags), "\"blocks_swapped_out\":0"));
}

TEST_CASE("energy and cost count devices, time and prices") {
    Workload workload = synthetic_workload({.count = 1});
    SimulationResult result;
    result.requests = {{.arrival = 0,
                        .first_token = 500'000,
                        .last_token = 1'000'000,
                        .output_tokens = 100,
                        .served = true}};
    result.duration = 1'000'000;
    result.busy_us = 500'000;
    const DevicePrices prices{.devices = 2, .watts = 100, .per_hour = 3.6, .per_kwh = 0};
    const auto report = make_simulation_report("p", workload, result, 1, {}, prices);
    CHECK(report.joules_per_token == 2 * 100 * (0.5 + 0.3 * 0.5) / 100);
    CHECK(std::fabs(*report.cost_per_million - 2 * 3.6 / 3600 / 100 * 1e6) < 1e-9);
    CHECK(report.utilization == 0.5);
}

TEST_CASE("the page holds the table and plots and needs nothing else") {
    SimulateFlags flags;
    flags.trace = azure;
    const auto setup = set_up_simulation(flags);
    const auto result = simulate(setup->workload, setup->options, *setup->costs, setup->policies[0].make);
    const auto report = make_simulation_report("<fcfs>", setup->workload, result, 1, {}, {});
    const std::string page = simulation_page(setup->facts, {report}, {curves_of("<fcfs>", result, 1)});
    CHECK(has(page, "&lt;fcfs&gt;"));
    CHECK_FALSE(has(page, "<fcfs>"));
    CHECK_FALSE(has(page, "http"));
    CHECK_FALSE(has(page, "nan"));
    std::size_t plots = 0;
    for (std::size_t at = page.find("<svg"); at != std::string::npos; at = page.find("<svg", at + 1)) ++plots;
    CHECK(plots == 8);
}

TEST_CASE("fairness is that of tenants who wait") {
    Workload workload = synthetic_workload({.count = 4, .prompt_mean = 100, .output_mean = 100});
    SimulationResult result;
    result.duration = 100'000'000;
    for (std::size_t i = 0; i < 4; ++i) {
        workload.requests[i].tenant = static_cast<std::uint32_t>(i % 2);
        result.requests.push_back({.arrival = 0,
                                   .first_token = 40'000'000,
                                   .last_token = 90'000'000,
                                   .output_tokens = 100,
                                   .served = true});
    }
    CHECK_FALSE(service_fairness(workload, result).has_value());  // nobody is served while others wait
    result.requests[0].first_token = 1;
    result.requests[0].last_token = 50'000'000;
    result.requests[2].arrival = 0;
    CHECK(*service_fairness(workload, result) < 0.6);  // of two that wait one gets all
    result.requests[1].first_token = 1;
    result.requests[1].last_token = 50'000'000;
    CHECK(*service_fairness(workload, result) > 0.99);
}

TEST_CASE("the lead of a tenant is counted while both wait, without what was cached") {
    Workload workload = synthetic_workload({.count = 3, .prompt_mean = 100, .output_mean = 1});
    workload.requests[2].tenant = 1;
    SimulationResult result;
    const auto outcome = [&](TimeUs admitted, TimeUs token) {
        RequestOutcome one;
        one.admitted = admitted;
        one.first_token = one.last_token = token;
        one.output_tokens = 1;
        one.served = true;
        result.requests.push_back(one);
    };
    outcome(10, 20);
    outcome(90, 100);
    outcome(50, 60);
    CHECK(largest_service_lead(workload, result) == 102);  // one has a prompt and a token, the other waits
    result.requests[0].cached_tokens = 70;
    CHECK(largest_service_lead(workload, result) == 100);  // 32, then the other's 100
    result.requests[0].first_token = 15;
    result.requests[0].last_token = 55;
    result.requests[0].output_tokens = 41;  // a service of 2 for each of 40 us: at 50 it has 30 + 2 + 70
    CHECK(largest_service_lead(workload, result) == 102);
    workload.requests[2].tenant = 0;
    CHECK_FALSE(largest_service_lead(workload, result).has_value());
}

TEST_CASE("fair: the scheduler keeps the bound that fcfs does not") {
    class Plain final : public StepCosts {
      public:
        double step_us(const StepFeatures& step) const override { return 1000 + 10.0 * step.tokens; }
    };
    SimulationOptions options;
    options.scheduler.max_num_batched_tokens = 64;
    options.scheduler.max_num_seqs = 8;
    options.scheduler.max_model_len = 256;
    options.scheduler.num_blocks = 40;
    options.scheduler.end_token_ids = {0};
    // One floods the server with long outputs, one has short ones, and prompts, one long prompts.
    Workload workload = synthetic_workload({.count = 1200, .prompt_mean = 40, .output_mean = 60});
    set_arrivals(workload, {.rate = 400, .seed = 1});
    for (std::size_t i = 0; i < workload.requests.size(); ++i) {
        WorkloadRequest& request = workload.requests[i];
        request.tenant = i % 4 == 0 ? 1 : i % 4 == 1 ? 2 : 0;
        if (request.tenant == 1) request.prompt_tokens = 20, request.output_tokens = 5;
        if (request.tenant == 2) request.prompt_tokens = 120, request.output_tokens = 2;
    }
    const auto lead = [&](const char* policy) {
        const auto choice = choose_policies(policy, {}).value();
        const auto result = simulate(workload, options, Plain(), choice[0].make);
        for (const RequestOutcome& request : result.requests) CHECK(request.served);
        return largest_service_lead(workload, result).value();
    };
    const double bound =
        2 * std::max(1.0 * 120, 2.0 * options.scheduler.num_blocks * options.scheduler.block_size);
    CHECK(lead("fair") > 0);
    CHECK(lead("fair") <= bound);
    CHECK(lead("fcfs") > 5 * bound);
}
