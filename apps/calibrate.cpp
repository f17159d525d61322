// `troupe calibrate`: what steps and requests cost on this machine, for `troupe simulate --device FILE`.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <fstream>
#include <memory>

#include "apps/calibrated_server.hpp"
#include "apps/calibrated_steps.hpp"
#include "apps/commands.hpp"
#include "apps/console.hpp"
#include "apps/logging.hpp"
#include "conf/device_file.hpp"
#include "conf/flags.hpp"

namespace troupe {
namespace {

struct CalibrateFlags {
    ConfigFlags config;
    std::string output;
    std::uint32_t rounds = 5;
};

int calibrate(CalibrateFlags& flags) {
    std::signal(SIGPIPE, SIG_IGN);
    const auto config = flags.config.load();
    if (!config) return report(config.error());
    set_up_logging({.level = "warn", .json = config->log.json});
    auto device = calibrate_steps(*config, flags.rounds);
    if (!device) return report(device.error());
    if (const Status served = calibrate_server(*config, *device); !served) return report(served.error());
    const std::string text = device_file_text(*device);
    if (flags.output.empty()) {
        print(text);
        return 0;
    }
    std::ofstream file(flags.output);
    file << text;
    if (!file.flush()) return report(not_found("-o: cannot write the file " + flags.output, "-o"));
    return 0;
}

}  // namespace

Command calibrate_command(CLI::App& program) {
    CLI::App* parser =
        program.add_subcommand("calibrate", "Measure what steps cost here, for simulating this machine");
    const auto flags = std::make_shared<CalibrateFlags>();
    parser->add_option("-o,--output", flags->output, "Write the device file there [the standard output]")
        ->option_text("FILE.toml");
    parser->add_option("--rounds", flags->rounds, "Each step is timed that often, and the median counts [5]")
        ->option_text("N")
        ->check(CLI::Range(1U, 1000U));
    flags->config.add_to(
        *parser, {"model", "--max-model-len", "--max-num-batched-tokens", "--max-num-seqs", "--kv-memory",
                  "--kv-blocks", "--block-size", "--threads", "--max-steps-in-flight"});
    parser->footer(
        "Examples:\n"
        "  troupe calibrate -o here.toml\n"
        "  troupe calibrate --model llama.gguf --threads 8 -o here.toml\n"
        "  troupe simulate --device here.toml --trace trace.csv\n"
        "It takes about a minute and should have the machine to itself: steps are timed alone, then a server "
        "of this\n"
        "process is asked over HTTP.\n");
    return {parser, [flags] { return calibrate(*flags); }};
}

}  // namespace troupe
