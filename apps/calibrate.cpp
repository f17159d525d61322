// `troupe calibrate`: what steps and requests cost on this machine, for `troupe simulate --device FILE`.
#include <CLI/CLI.hpp>
#include <csignal>
#include <fstream>
#include <memory>
#include <vector>

#include "actors/recording.hpp"
#include "apps/calibrated_server.hpp"
#include "apps/calibrated_steps.hpp"
#include "apps/commands.hpp"
#include "apps/console.hpp"
#include "apps/device_costs.hpp"
#include "apps/logging.hpp"
#include "conf/device_file.hpp"
#include "conf/flags.hpp"

namespace troupe {
namespace {

struct CalibrateFlags {
    ConfigFlags config;
    std::string output, recording, device;
    std::uint32_t rounds = 5;
};

Result<DeviceFile> measured_here(const CalibrateFlags& flags) {
    const auto config = flags.config.load();
    if (!config) return config.error();
    set_up_logging({.level = "warn", .json = config->log.json});
    auto device = calibrate_steps(*config, flags.rounds);
    if (!device) return device;
    if (const Status served = calibrate_server(*config, *device); !served) return served.error();
    return device;
}

Result<DeviceFile> corrected_by_recording(const CalibrateFlags& flags) {
    auto device = read_device_file(flags.device);
    if (!device) return device;
    if (!device->is_calibrated())
        return invalid_argument(
            "--device: " + flags.device + " was not measured; `troupe calibrate -o FILE` does", "--device");
    const auto recording = read_recording(flags.recording);
    if (!recording) return recording.error();
    std::vector<RecordedStep> steps;
    for (const RecordedScheduler& scheduler : recording->schedulers) {
        const auto more = recorded_steps(scheduler);
        steps.insert(steps.end(), more.begin(), more.end());
    }
    correct_device(*device, steps);
    return device;
}

int calibrate(const CalibrateFlags& flags) {
    std::signal(SIGPIPE, SIG_IGN);
    if (flags.recording.empty() != flags.device.empty())
        return report(invalid_argument(
            "--recording and --device go together: the recording corrects what the device file says",
            "--recording"));
    const auto device = flags.recording.empty() ? measured_here(flags) : corrected_by_recording(flags);
    if (!device) return report(device.error());
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
    parser
        ->add_option("--recording", flags->recording,
                     "Measure nothing: correct --device by the steps of a server that ran with --record, at "
                     "its own load")
        ->option_text("FILE");
    parser->add_option("--device", flags->device, "The device file to correct, of the same model and machine")
        ->option_text("FILE.toml");
    flags->config.add_to(
        *parser, {"model", "--max-model-len", "--max-num-batched-tokens", "--max-num-seqs", "--kv-memory",
                  "--kv-blocks", "--block-size", "--threads", "--max-steps-in-flight"});
    parser->footer(
        "Examples:\n"
        "  troupe calibrate -o here.toml\n"
        "  troupe calibrate --model llama.gguf --threads 8 -o here.toml\n"
        "  troupe simulate --device here.toml --trace trace.csv\n"
        "  troupe calibrate --recording RECORDING --device here.toml -o as_loaded.toml\n"
        "It takes about a minute and should have the machine to itself: steps are timed alone, then a server "
        "of this\n"
        "process is asked over HTTP.\n");
    return {parser, [flags] { return calibrate(*flags); }};
}

}  // namespace troupe
