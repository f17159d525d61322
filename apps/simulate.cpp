// `troupe simulate`: the production scheduler under virtual time.
#include <CLI/CLI.hpp>
#include <fstream>
#include <memory>

#include "apps/bench_objectives.hpp"
#include "apps/commands.hpp"
#include "apps/console.hpp"
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
    const char* group = "Workload";
    const auto count = CLI::Range(std::size_t{1}, std::size_t{100000000});
    const auto length = CLI::Range(1U, 10000000U);
    parser.add_option("--trace", flags.trace, "Arrivals and lengths from a trace [synthetic]")
        ->option_text("FILE")
        ->group(group);
    parser
        .add_option("--num-requests", flags.num_requests,
                    "Requests; a trace is repeated or cut [all of a trace, else 1000]")
        ->option_text("N")
        ->check(count)
        ->group(group);
    parser.add_option("--rate-scale", flags.rate_scale, "Arrivals that many times as fast [1]")
        ->option_text("X")
        ->check(CLI::Range(1e-6, 1e6))
        ->group(group);
    parser
        .add_option("--request-rate", flags.request_rate,
                    "Requests per second on average [a trace's own, else 1]")
        ->option_text("R")
        ->check(CLI::Range(1e-6, 1e7))
        ->group(group);
    parser
        .add_option("--load", flags.load,
                    "The rate as a share of what the first policy could complete at most")
        ->option_text("X")
        ->check(CLI::Range(1e-3, 100.0))
        ->group(group);
    parser.add_option("--arrivals", flags.arrivals, "poisson, gamma or bursts [a trace's own, else poisson]")
        ->option_text("KIND")
        ->check(CLI::IsMember({"poisson", "gamma", "bursts"}))
        ->group(group);
    parser.add_option("--burstiness", flags.burstiness, "Coefficient of variation of gamma's gaps [2]")
        ->option_text("X")
        ->check(CLI::Range(0.05, 100.0))
        ->group(group);
    parser.add_option("--burst", flags.burst, "Requests of a burst [8]")
        ->option_text("N")
        ->check(length)
        ->group(group);
    parser.add_option("--input-len", flags.input_len, "Mean tokens of synthetic prompts [512]")
        ->option_text("N")
        ->check(length)
        ->group(group);
    parser.add_option("--output-len", flags.output_len, "Mean tokens of synthetic outputs [128]")
        ->option_text("N")
        ->check(length)
        ->group(group);
    parser
        .add_option("--length-spread", flags.length_spread,
                    "They are drawn evenly from mean * (1 - X) to mean * (1 + X) [0]")
        ->option_text("X")
        ->check(CLI::Range(0.0, 1.0))
        ->group(group);
    parser
        .add_option("--shared-prefix", flags.shared_prefix,
                    "Tokens that all synthetic prompts begin with [0]")
        ->option_text("N")
        ->check(CLI::Range(0U, 10000000U))
        ->group(group);
    parser
        .add_option("--priorities", flags.priorities,
                    "Priorities 0 to N - 1, drawn evenly [a trace's, else one]")
        ->option_text("N")
        ->check(CLI::Range(1U, 1000U))
        ->group(group);
    parser
        .add_option("--tenants", flags.tenants,
                    "Tenants, whose shares of requests are as 1, 1/2, 1/3, ... [one]")
        ->option_text("N")
        ->check(CLI::Range(1U, 10000U))
        ->group(group);
    parser.add_option("--seed", flags.seed, "Of everything random [0]")->option_text("N")->group(group);
}

void add_system(CLI::App& parser, SimulateFlags& flags) {
    const char* group = "System";
    const auto count = CLI::Range(1U, 1000000U);
    parser.add_option("--policy", flags.policies, "Scheduling policies, one simulation each [fcfs]")
        ->option_text("P[,P...]")
        ->group(group);
    parser
        .add_option("--policy-option", flags.policy_options,
                    "An option of the policies, or of one (NAME:K=V)")
        ->option_text("K=V")
        ->group(group);
    parser
        .add_option("--model", flags.model, "A GGUF file, a Hugging Face directory, or a name [llama-3-8b]")
        ->option_text("MODEL")
        ->group(group);
    parser
        .add_option("--weight-dtype", flags.weight_dtype, "f16, f8, int4, ... [a file's own; f16 of a name]")
        ->option_text("TYPE")
        ->group(group);
    parser.add_option("--kv-dtype", flags.kv_dtype, "Of keys and values [f16]")
        ->option_text("TYPE")
        ->group(group);
    parser
        .add_option("--device", flags.device,
                    "A name of `troupe plan`, or a file of `troupe calibrate` [h100]")
        ->option_text("NAME|FILE")
        ->group(group);
    parser.add_option("--gpus", flags.gpus, "Devices of one replica [1]")
        ->option_text("N")
        ->check(count)
        ->group(group);
    parser.add_option("--tp", flags.tensor, "Of them divide each matrix [all]")
        ->option_text("N")
        ->check(count)
        ->group(group);
    parser.add_option("--pp", flags.pipeline, "Stages of layers [1]")
        ->option_text("N")
        ->check(count)
        ->group(group);
    parser.add_option("--replicas", flags.replicas, "Replicas [1]")
        ->option_text("N")
        ->check(CLI::Range(1U, 10000U))
        ->group(group);
    parser.add_option("--routing", flags.routing, "least-loaded, round-robin or prefix [least-loaded]")
        ->option_text("HOW")
        ->group(group);
    parser
        .add_option("--max-num-seqs", flags.max_num_seqs,
                    "Sequences running at once [the device file's, else 256]")
        ->option_text("N")
        ->check(count)
        ->group(group);
    parser
        .add_option("--max-num-batched-tokens", flags.max_num_batched_tokens,
                    "Tokens of a step [the device file's, else 2048]")
        ->option_text("N")
        ->check(CLI::Range(1U, 1U << 20))
        ->group(group);
    parser
        .add_option("--max-model-len", flags.max_model_len,
                    "Tokens of a sequence [the model's, at least 32768]")
        ->option_text("N")
        ->check(CLI::Range(2U, 100000000U))
        ->group(group);
    parser.add_option("--block-size", flags.block_size, "Tokens of a KV block [16]")
        ->option_text("N")
        ->check(CLI::Range(1U, 256U))
        ->group(group);
    parser
        .add_option("--kv-blocks", flags.kv_blocks,
                    "KV blocks of a replica [what weights leave of 90 % of memory]")
        ->option_text("N")
        ->check(CLI::Range(1U, 1000000000U))
        ->group(group);
    parser
        .add_option("--max-steps-in-flight", flags.steps_in_flight,
                    "1: no planning ahead [the device file's, else 2]")
        ->option_text("N")
        ->check(CLI::Range(1U, 8U))
        ->group(group);
    parser
        .add_option("--max-waiting", flags.max_waiting,
                    "Requests of a replica beyond --max-num-seqs; more are refused [no limit]")
        ->option_text("N")
        ->check(CLI::Range(1U, 100000000U))
        ->group(group);
    parser
        .add_option("--max-tokens", flags.max_tokens,
                    "What requests allow; they end before [the output's length]")
        ->option_text("N")
        ->check(CLI::Range(1U, 100000000U))
        ->group(group);
    parser.add_flag("--oracle", flags.oracle, "Tell policies how long each output will be")->group(group);
    parser.add_option("--ttft-target", flags.ttft_target, "Every request's, for policies that keep targets")
        ->option_text("TIME")
        ->group(group);
    parser.add_option("--tpot-target", flags.tpot_target, "The same for the time per output token")
        ->option_text("TIME")
        ->group(group);
}

void add_report(CLI::App& parser, SimulateFlags& flags, SimulateOutput& output) {
    const char* group = "Report";
    parser.add_option("--goodput", flags.goodput, "Objectives in milliseconds: ttft:MS tpot:MS e2el:MS")
        ->option_text("WHAT:MS ...")
        ->group(group);
    parser.add_option("--price", flags.price, "Of one device for an hour")
        ->option_text("X")
        ->check(CLI::Range(0.0, 1e6))
        ->group(group);
    parser.add_option("--energy-price", flags.energy_price, "Of a kWh")
        ->option_text("X")
        ->check(CLI::Range(0.0, 1e6))
        ->group(group);
    parser.add_option("--watts", flags.watts, "Of one busy device [the device's]; idle it takes 30 %")
        ->option_text("W")
        ->check(CLI::Range(0.0, 1e6))
        ->group(group);
    parser
        .add_option("--json", output.json,
                    "Write the report as JSON, '-' to the standard output instead of the table")
        ->option_text("FILE")
        ->group(group);
    parser
        .add_option("--replay", output.replay,
                    "Replay a recording of `troupe serve --record`: are all step plans the same?")
        ->option_text("FILE")
        ->group(group);
    parser.add_option("--html", output.html, "Write a page with plots")->option_text("FILE")->group(group);
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
