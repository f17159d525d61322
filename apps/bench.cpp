// `troupe bench`: load for any server that speaks the OpenAI API.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <memory>

#include "apps/bench_client.hpp"
#include "apps/bench_objectives.hpp"
#include "apps/bench_report.hpp"
#include "apps/bench_workload.hpp"
#include "apps/commands.hpp"
#include "apps/console.hpp"
#include "apps/engine_bench.hpp"
#include "apps/flag_group.hpp"
#include "apps/open_files.hpp"
#include "conf/flags.hpp"
#include "conf/values.hpp"

namespace troupe {
namespace {

struct BenchFlags {
    ConfigFlags config;  // of a model without a server
    std::string url, model, api_key, trace, json, prompt = "ids";
    std::size_t concurrency = 0;  // 0: not given
    double request_rate = 0;      // 0: not given
    double trace_speed = 1;
    std::size_t num_requests = 0;  // 0: not given
    std::uint32_t input_len = 128, output_len = 64, vocab_size = 10000, timeout_s = 600, rounds = 5;
    std::size_t warmup = 0;
    std::uint64_t seed = 0;
    std::vector<std::string> goodput;
};

constexpr const char* default_url = "http://127.0.0.1:8000";

constexpr const char* examples = R"(Examples:
  troupe bench --concurrency 8 --num-requests 64 --input-len 128 --output-len 64
  troupe bench --request-rate 4 --num-requests 100 --goodput ttft:500 tpot:50
  troupe bench --trace azure_llm_2023_conv.csv --num-requests 200 --trace-speed 2 --json report.json
  troupe bench --model llama.gguf --rounds 9         no server: steps of this model, and their share of the roofline

Latencies are defined as in `vllm bench serve`: TTFT is the first chunk with content minus send, ITL the gaps between
such chunks, TPOT (latency - TTFT) / (output tokens - 1), goodput the requests per second that met every objective.
)";

void add_flags(CLI::App& parser, BenchFlags& flags) {
    parser.footer(examples);
    FlagGroup server(parser, "Server");
    server.add("--url", flags.url, "URL", std::string("The server [") + default_url + "]");
    server.add(
        "--model", flags.model, "NAME|MODEL",
        "With --url: the model to ask for [the first that the server lists]. Without: a model to time on "
        "this machine, without a server, beside what the machine can do");
    server.add("--api-key", flags.api_key, "KEY", "Sent as a bearer token")->envname("TROUPE_API_KEY");
    server.add("--timeout", flags.timeout_s, "S", "Seconds for one request [600]", CLI::Range(1U, 86400U));

    const auto count = CLI::Range(std::size_t{1}, std::size_t{1000000});
    const auto length = CLI::Range(1U, 10000000U);
    FlagGroup load(parser, "Load");
    load.add("--concurrency", flags.concurrency, "N",
             "Requests open at the same time [8; with a rate or trace: no limit]", count);
    load.add("--request-rate", flags.request_rate, "R", "Requests per second, with Poisson arrivals",
             CLI::Range(1e-6, 1e6));
    load.add("--num-requests", flags.num_requests, "N", "Requests in all [64; of a trace: all]", count);
    load.add("--warmup", flags.warmup, "N", "Requests before these, not counted [0]");
    load.add("--seed", flags.seed, "N", "Of prompts and arrivals [0]");
    FlagGroup requests(parser, "Requests");
    requests.add("--input-len", flags.input_len, "N", "Tokens in a prompt [128]", length);
    requests.add("--output-len", flags.output_len, "N", "Tokens to generate, end tokens ignored [64]",
                 length);
    requests.add("--prompt", flags.prompt, "ids|words",
                 "Random prompts: token ids, or words for servers without ids [ids]",
                 CLI::IsMember({"ids", "words"}));
    requests.add("--vocab-size", flags.vocab_size, "N", "Token ids are drawn below this [10000]", length);
    requests.add("--trace", flags.trace, "FILE",
                 "Lengths and arrivals from a CSV: TIMESTAMP,ContextTokens,GeneratedTokens");
    requests.add("--trace-speed", flags.trace_speed, "X", "Plays the trace that many times faster [1]",
                 CLI::Range(1e-3, 1e6));
    FlagGroup engine(parser, "A model without a server");
    engine.add("--rounds", flags.rounds, "N", "Each step is timed that often, and the median counts [5]",
               CLI::Range(1U, 1000U));
    flags.config.add_to(parser, {"--compute", "--kv-dtype", "--quantize", "--threads", "--block-size",
                                 "--max-num-seqs", "--max-num-batched-tokens"});
    FlagGroup report(parser, "Report");
    report.add("--goodput", flags.goodput, "WHAT:MS ...",
               "Objectives in milliseconds: ttft:MS tpot:MS e2el:MS");
    report.add("--json", flags.json, "FILE",
               "Write the report as JSON, '-' to the standard output instead of the table");
}

// Lengths and arrivals, the warm-up's first.
Result<std::vector<BenchRequest>> workload_of(const BenchFlags& flags) {
    constexpr std::size_t default_count = 64;
    std::vector<BenchRequest> requests;
    if (flags.trace.empty()) {
        const std::size_t count = flags.num_requests == 0 ? default_count : flags.num_requests;
        requests = uniform_workload(count, flags.input_len, flags.output_len, flags.seed);
    } else {
        auto trace = trace_workload(flags.trace, flags.num_requests, flags.trace_speed, flags.seed);
        if (!trace) return trace.error();
        requests = *std::move(trace);
    }
    if (flags.request_rate > 0) set_poisson_arrivals(requests, flags.request_rate, flags.seed);
    // A closed loop takes a trace's lengths, not its arrivals.
    if (flags.request_rate == 0 && flags.concurrency > 0) {
        for (BenchRequest& request : requests) request.arrival = 0;
    }
    return requests;
}

BenchRun run_with_bar(const BenchTarget& target, const BenchPlan& plan, const std::string& title) {
    ProgressBar bar(title);
    std::size_t ended = 0, failed = 0;
    bar.show(0, plan.requests.size());
    return run_bench(target, plan, [&](const BenchOutcome& outcome) {
        if (!outcome.error.empty()) ++failed;
        ++ended;
        bar.show(ended, plan.requests.size(),
                 std::to_string(ended) + " of " + std::to_string(plan.requests.size()) + " requests" +
                     (failed == 0 ? "" : ", " + std::to_string(failed) + " failed"));
    });
}

int write_report(const BenchReport& report, const std::string& json) {
    if (json == "-") {
        std::printf("%s\n", report_json(report).c_str());
    } else {
        std::printf("%s", report_table(report).c_str());
        if (!json.empty()) {
            std::ofstream file(json);
            file << report_json(report) << '\n';
            if (!file.flush())
                return troupe::report(not_found("--json: cannot write the file " + json, "--json"));
        }
    }
    return report.failed == 0 ? 0 : exit_failure;
}

int bench_model(const BenchFlags& flags) {
    auto config = flags.config.load();
    if (!config) return report(config.error());
    auto models = parse_models(flags.model);
    if (!models) return report(models.error());
    config->model.models = *std::move(models);
    const Status done = bench_engine(*config, {flags.rounds, flags.json});
    return done ? 0 : report(done.error());
}

int bench(const BenchFlags& flags) {
    if (flags.url.empty() && !flags.model.empty()) return bench_model(flags);
    constexpr std::size_t default_concurrency = 8;
    std::signal(SIGPIPE, SIG_IGN);  // a server that goes away is a failed request
    auto target = parse_target(flags.url.empty() ? default_url : flags.url);
    if (!target) return report(target.error());
    target->api_key = flags.api_key;
    target->model = flags.model;
    const auto objectives = parse_objectives(flags.goodput);
    if (!objectives) return report(objectives.error());
    auto requests = workload_of(flags);
    if (!requests) return report(requests.error());
    if (target->model.empty()) {
        auto model = first_model(*target);
        if (!model) return report(model.error());
        target->model = *std::move(model);
    }
    raise_open_file_limit();

    const bool open_loop = flags.request_rate > 0 || (!flags.trace.empty() && flags.concurrency == 0);
    BenchPlan plan;
    plan.words = flags.prompt == "words";
    plan.vocab_size = flags.vocab_size;
    plan.timeout = std::chrono::seconds(flags.timeout_s);
    plan.concurrency = flags.concurrency > 0 ? flags.concurrency
                       : open_loop           ? requests->size()
                                             : default_concurrency;
    if (flags.warmup > 0) {
        BenchPlan warmup = plan;
        // Other prompts than the measured ones, so that no cache knows those.
        warmup.requests = uniform_workload(flags.warmup, flags.input_len, flags.output_len, ~flags.seed);
        run_with_bar(*target, warmup, "warming up");
    }
    plan.requests = *std::move(requests);
    return write_report(make_report(run_with_bar(*target, plan, "running"), *objectives), flags.json);
}

}  // namespace

Command bench_command(CLI::App& program) {
    CLI::App* parser = program.add_subcommand("bench", "Put load on a server, or time a model without one");
    const auto flags = std::make_shared<BenchFlags>();
    add_flags(*parser, *flags);
    return {parser, [flags] { return bench(*flags); }};
}

}  // namespace troupe
