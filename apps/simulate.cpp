// `troupe simulate`: the production scheduler under virtual time.
#include <CLI/CLI.hpp>
#include <fstream>
#include <memory>

#include "apps/bench_objectives.hpp"
#include "apps/commands.hpp"
#include "apps/console.hpp"
#include "apps/flag_group.hpp"
#include "apps/replay.hpp"
#include "apps/simulate_input.hpp"
#include "apps/simulation_page.hpp"
#include "apps/simulation_report.hpp"

namespace troupe {
namespace {

struct SimulateOutput {
    std::string json, html, replay;
};

constexpr const char* examples = R"(Examples:
  troupe simulate --trace azure_llm_2023_conv.csv --model llama-3-8b --device h100 --replicas 2
  troupe simulate --trace mooncake_conversation.jsonl --device h200 --load 0.9 --html report.html
  troupe simulate --request-rate 20 --arrivals gamma --num-requests 5000 --goodput ttft:500 tpot:50
  troupe calibrate --model llama.gguf -o here.toml && troupe simulate --device here.toml --request-rate 2

Scheduler and KV cache are those of `troupe serve`; only time, tokens and the device are made up. The same flags and
seed give the same bytes. Traces: Azure LLM 2023 CSV, Mooncake JSON lines. docs/simulation.md says more.
)";

void add_workload(CLI::App& parser, SimulateFlags& flags) {
    FlagGroup group(parser, "Workload");
    const auto count = CLI::Range(std::size_t{1}, std::size_t{100000000});
    const auto length = CLI::Range(1U, 10000000U);
    group.add("--trace", flags.trace, "FILE", "Arrivals and lengths from a trace [synthetic]");
    group.add("--trace-model", flags.trace_model, "NAME",
              "Of a recording of several models: whose requests [the only one]");
    group.add("--num-requests", flags.num_requests, "N",
              "Requests; a trace is repeated or cut [all of a trace, else 1000]", count);
    group.add("--rate-scale", flags.rate_scale, "X", "Arrivals that many times as fast [1]",
              CLI::Range(1e-6, 1e6));
    group.add("--request-rate", flags.request_rate, "R",
              "Requests per second on average [a trace's own, else 1]", CLI::Range(1e-6, 1e7));
    group.add("--load", flags.load, "X",
              "The rate as a share of what the first policy could complete at most", CLI::Range(1e-3, 100.0));
    group.add("--arrivals", flags.arrivals, "KIND", "poisson, gamma or bursts [a trace's own, else poisson]",
              CLI::IsMember({"poisson", "gamma", "bursts"}));
    group.add("--burstiness", flags.burstiness, "X", "Coefficient of variation of gamma's gaps [2]",
              CLI::Range(0.05, 100.0));
    group.add("--burst", flags.burst, "N", "Requests of a burst [8]", length);
    group.add("--input-len", flags.input_len, "N", "Mean tokens of synthetic prompts [512]", length);
    group.add("--output-len", flags.output_len, "N", "Mean tokens of synthetic outputs [128]", length);
    group.add("--length-spread", flags.length_spread, "X",
              "They are drawn evenly from mean * (1 - X) to mean * (1 + X) [0]", CLI::Range(0.0, 1.0));
    group.add("--shared-prefix", flags.shared_prefix, "N", "Tokens that all synthetic prompts begin with [0]",
              CLI::Range(0U, 10000000U));
    group.add("--priorities", flags.priorities, "N",
              "Priorities 0 to N - 1, drawn evenly [a trace's, else one]", CLI::Range(1U, 1000U));
    group.add("--tenants", flags.tenants, "N",
              "Tenants, whose shares of requests are as 1, 1/2, 1/3, ... [one]", CLI::Range(1U, 10000U));
    group.add("--seed", flags.seed, "N", "Of everything random [0]");
}

void add_system(CLI::App& parser, SimulateFlags& flags) {
    FlagGroup group(parser, "System");
    const auto count = CLI::Range(1U, 1000000U);
    group.add("--policy", flags.policies, "P[,P...]", "Scheduling policies, one simulation each [fcfs]");
    group.add("--policy-option", flags.policy_options, "K=V",
              "An option of the policies, or of one (NAME:K=V)");
    group.add("--model", flags.model, "MODEL",
              "A GGUF file, a Hugging Face directory, or a name [llama-3-8b]");
    group.add("--weight-dtype", flags.weight_dtype, "TYPE",
              "f16, f8, int4, ... [a file's own; f16 of a name]");
    group.add("--kv-dtype", flags.kv_dtype, "TYPE", "Of keys and values [f16]");
    group.add("--device", flags.device, "NAME|FILE",
              "A name of `troupe plan`, or a file of `troupe calibrate` [h100]");
    group.add("--gpus", flags.gpus, "N", "Devices of one replica [1]", count);
    group.add("--tp", flags.tensor, "N", "Of them divide each matrix [all]", count);
    group.add("--pp", flags.pipeline, "N", "Stages of layers [1]", count);
    group.add("--replicas", flags.replicas, "N", "Replicas [1]", CLI::Range(1U, 10000U));
    group.add("--routing", flags.routing, "HOW", "least-loaded, round-robin or prefix [least-loaded]");
    group.add("--max-num-seqs", flags.max_num_seqs, "N",
              "Sequences running at once [the device file's, else 256]", count);
    group.add("--max-num-batched-tokens", flags.max_num_batched_tokens, "N",
              "Tokens of a step [the device file's, else 2048]", CLI::Range(1U, 1U << 20));
    group.add("--max-model-len", flags.max_model_len, "N",
              "Tokens of a sequence [the model's, at least 32768]", CLI::Range(2U, 100000000U));
    group.add("--block-size", flags.block_size, "N", "Tokens of a KV block [16]", CLI::Range(1U, 256U));
    group.add("--kv-blocks", flags.kv_blocks, "N",
              "KV blocks of a replica [what weights leave of 90 % of memory]", CLI::Range(1U, 1000000000U));
    group.add("--max-steps-in-flight", flags.steps_in_flight, "N",
              "1: no planning ahead [the device file's, else 2]", CLI::Range(1U, 8U));
    group.add("--max-waiting", flags.max_waiting, "N",
              "Requests of a replica beyond --max-num-seqs; more are refused [no limit]",
              CLI::Range(1U, 100000000U));
    group.add("--max-tokens", flags.max_tokens, "N",
              "What requests allow; they end before [the output's length]", CLI::Range(1U, 100000000U));
    group.add("--swap-space", flags.swap_space, "SIZE",
              "Host memory of a replica for KV that its pool has no room for, such as 64GiB [none]");
    group.add("--swap-disk-space", flags.swap_disk_space, "SIZE", "The same on disk, below that [none]");
    group.add_switch("--no-prefix-caching", flags.no_prefix_caching, "Requests share no prefixes");
    group.add_switch("--oracle", flags.oracle, "Tell policies how long each output will be");
    group.add("--ttft-target", flags.ttft_target, "TIME", "Every request's, for policies that keep targets");
    group.add("--tpot-target", flags.tpot_target, "TIME", "The same for the time per output token");
}

void add_report(CLI::App& parser, SimulateFlags& flags, SimulateOutput& output) {
    FlagGroup group(parser, "Report");
    group.add("--goodput", flags.goodput, "WHAT:MS ...",
              "Objectives in milliseconds: ttft:MS tpot:MS e2el:MS");
    group.add("--price", flags.price, "X", "Of one device for an hour", CLI::Range(0.0, 1e6));
    group.add("--energy-price", flags.energy_price, "X", "Of a kWh", CLI::Range(0.0, 1e6));
    group.add("--watts", flags.watts, "W", "Of one busy device [the device's]; idle it takes 30 %",
              CLI::Range(0.0, 1e6));
    group.add("--json", output.json, "FILE",
              "Write the report as JSON, '-' to the standard output instead of the table");
    group.add("--replay", output.replay, "FILE",
              "Replay a recording of `troupe serve --record`: are all step plans the same?");
    group.add("--html", output.html, "FILE", "Write a page with plots");
}

Status write_file(const std::string& path, const std::string& text, const char* flag) {
    std::ofstream file(path, std::ios::binary);
    file << text;
    if (!file.flush()) return not_found(std::string(flag) + ": cannot write the file " + path, flag);
    return {};
}

int simulate_all(const SimulateFlags& flags, const SimulateOutput& output) {
    if (!output.replay.empty()) return replay_file(output.replay);
    const auto objectives = parse_objectives(flags.goodput);
    if (!objectives) return report(objectives.error());
    const auto setup = set_up_simulation(flags);
    if (!setup) return report(setup.error());
    std::vector<SimulationReport> reports;
    std::vector<PolicyCurves> curves;
    for (const NamedPolicy& policy : setup->policies) {
        ProgressBar bar(policy.name);
        const auto result = simulate(setup->workload, setup->options, *setup->costs, policy.make,
                                     [&](std::size_t ended, std::size_t all) { bar.show(ended, all); });
        reports.push_back(make_simulation_report(policy.name, setup->workload, result,
                                                 setup->options.num_replicas, *objectives, setup->prices));
        if (!output.html.empty())
            curves.push_back(curves_of(policy.name, result, setup->options.num_replicas));
    }
    const std::string json = simulation_json(setup->facts, reports) + "\n";
    print(output.json == "-" ? json : simulation_table(reports));
    if (!output.json.empty() && output.json != "-") {
        if (const Status written = write_file(output.json, json, "--json"); !written)
            return report(written.error());
    }
    if (!output.html.empty()) {
        const Status written =
            write_file(output.html, simulation_page(setup->facts, reports, curves), "--html");
        if (!written) return report(written.error());
    }
    return 0;
}

}  // namespace

Command simulate_command(CLI::App& program) {
    CLI::App* parser =
        program.add_subcommand("simulate", "Try policies and hardware on a trace, under virtual time");
    const auto flags = std::make_shared<SimulateFlags>();
    const auto output = std::make_shared<SimulateOutput>();
    parser->footer(examples);
    add_workload(*parser, *flags);
    add_system(*parser, *flags);
    add_report(*parser, *flags, *output);
    return {parser, [flags, output] { return simulate_all(*flags, *output); }};
}

}  // namespace troupe
