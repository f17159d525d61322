#include "apps/calibrated_server.hpp"

#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "actors/recording.hpp"
#include "apps/bench_client.hpp"
#include "apps/device_costs.hpp"
#include "apps/local_troupe.hpp"
#include "apps/open_files.hpp"
#include "net/server.hpp"

namespace troupe {
namespace {

constexpr double us_per_second = 1e6;
constexpr std::uint32_t short_prompt = 32, long_prompt = 384;

double median(std::vector<double> values) {
    if (values.empty()) return 0;
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

class ServerProbe {
  public:
    ServerProbe(BenchTarget target, std::uint32_t vocab_size)
        : target_(std::move(target)), vocab_size_(vocab_size) {}

    // The median time to the first token, in microseconds. `requests` get seeds of their own: nobody has seen
    // these prompts.
    Result<double> ask(std::size_t concurrency, std::vector<BenchRequest> requests) {
        BenchPlan plan;
        for (BenchRequest& request : requests) request.seed = ++seed_;
        plan.requests = std::move(requests);
        plan.concurrency = concurrency;
        plan.vocab_size = vocab_size_;
        std::vector<double> ttft;
        for (const BenchOutcome& outcome : run_bench(target_, plan, [](const BenchOutcome&) {}).outcomes) {
            if (!outcome.error.empty())
                return internal_error("calibrating: a request failed: " + outcome.detail);
            ttft.push_back(outcome.ttft * us_per_second);
        }
        return median(std::move(ttft));
    }

  private:
    BenchTarget target_;
    std::uint32_t vocab_size_;
    std::uint64_t seed_ = 0;
};

// What clients saw, in microseconds.
struct Seen {
    double short_ttft = 0, long_ttft = 0;  // one request at a time; long: 0 if the context has no room for it
};

Status ask_alone(ServerProbe& probe, std::uint32_t longest_prompt, Seen& seen) {
    const auto requests = [](std::size_t count, std::uint32_t input, std::uint32_t output) {
        return std::vector<BenchRequest>(count, {0, input, output, 0});
    };
    if (const auto warm = probe.ask(1, requests(3, short_prompt, 32)); !warm) return warm.error();
    auto ttft = probe.ask(1, requests(16, short_prompt, 32));
    if (!ttft) return ttft.error();
    seen.short_ttft = *ttft;
    if (longest_prompt < long_prompt) return {};
    ttft = probe.ask(1, requests(16, long_prompt, 2));
    if (!ttft) return ttft.error();
    seen.long_ttft = *ttft;
    return {};
}

// Several at a time, of all lengths: prompts are read while others draw, and tokens are sent while the next
// step computes, on the same cores.
Status ask_together(ServerProbe& probe, std::uint32_t longest_prompt, std::uint32_t max_num_seqs) {
    for (const std::uint32_t together : {2U, 4U, 8U, 16U, 48U}) {
        if (together > max_num_seqs) break;
        std::vector<BenchRequest> requests;
        for (std::uint32_t i = 0; i < std::max(16U, 2 * together); ++i)
            requests.push_back({0, std::min(longest_prompt, 16 + i * 89 % 400), 16 + i * 37 % 64, 0});
        if (const auto ttft = probe.ask(together, std::move(requests)); !ttft) return ttft.error();
    }
    return {};
}

// The median time of the steps that read one whole prompt of this length, and nothing else.
double prompt_step_us(const std::vector<RecordedStep>& steps, std::uint32_t prompt) {
    std::vector<double> times;
    for (const RecordedStep& step : steps)
        if (step.features.tokens == prompt && step.features.logits_rows == 1 &&
            step.features.chunk_context == prompt)
            times.push_back(static_cast<double>(step.us));
    return median(std::move(times));
}

void fill_in(const std::vector<RecordedStep>& steps, const Seen& seen, DeviceFile& device) {
    correct_device(device, steps);
    const double at_short = std::max(0.0, seen.short_ttft - prompt_step_us(steps, short_prompt));
    const double at_long = seen.long_ttft - prompt_step_us(steps, long_prompt);
    if (seen.long_ttft > 0)
        device.request_us_per_token = std::max(0.0, (at_long - at_short) / (long_prompt - short_prompt));
    device.request_us = std::max(0.0, at_short - device.request_us_per_token * short_prompt);
}

// A name for a recording that is read once.
class TemporaryFile {
  public:
    TemporaryFile()
        : path_((std::filesystem::temp_directory_path() /
                 ("troupe-calibrate-" + std::to_string(::getpid()) + ".recording"))
                    .string()) {}
    ~TemporaryFile() {
        std::error_code ignored;
        std::filesystem::remove(path_, ignored);
    }
    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;
    const std::string& path() const { return path_; }

  private:
    std::string path_;
};

}  // namespace

Status calibrate_server(const Config& config, DeviceFile& device) {
    Config served = config;
    served.server.host = "127.0.0.1";
    served.server.port = 0;
    const TemporaryFile file;
    served.server.record = file.path();
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
    ServerProbe probe(*target, std::min(model.vocab_size, 10000U));  // ids that occur in texts
    Seen seen;
    Status status = ask_alone(probe, model.max_model_len / 2, seen);
    if (status) status = ask_together(probe, model.max_model_len / 2, config.engine.max_num_seqs);
    server.stop();
    troupe->system.reset();  // the recording is whole then
    if (!status) return status;
    const auto recording = read_recording(file.path());
    if (!recording) return recording.error();
    if (recording->schedulers.empty()) return internal_error("calibrating: the recording is empty");
    fill_in(recorded_steps(recording->schedulers.front()), seen, device);
    return {};
}

}  // namespace troupe
