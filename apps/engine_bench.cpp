#include "apps/engine_bench.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <memory>
#include <vector>

#include "apps/console.hpp"
#include "apps/model_setup.hpp"
#include "apps/step_timer.hpp"
#include "cpu/backend.hpp"
#include "cpu/machine_peaks.hpp"
#include "cpu/step_bound.hpp"
#include "net/json_writer.hpp"

namespace troupe {
namespace {

constexpr double giga = 1e9;

struct BenchStep {
    std::string name;
    TimedRows rows;
    std::vector<double> us, shares;  // of each round; shares only where a bound is known
};

double median(std::vector<double> values) {
    if (values.empty()) return 0;
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

std::vector<BenchStep> steps_for(std::uint32_t most_tokens, std::uint32_t most_rows, std::uint32_t longest) {
    std::vector<BenchStep> steps;
    const auto add = [&](const std::string& name, TimedRows rows) {
        if (rows.start + rows.tokens < longest) steps.push_back({name, rows, {}, {}});
    };
    for (const std::uint32_t tokens : {128U, 512U})
        if (tokens <= most_tokens) add("prefill " + std::to_string(tokens), {1, 0, tokens, true});
    for (const std::uint32_t start : {128U, 1024U})
        add("decode, 1 stream, context " + std::to_string(start), {1, start, 1, true});
    for (const std::uint32_t rows : {2U, 4U, 8U, 16U, 32U, 64U})
        if (rows <= most_rows)
            add("decode, " + std::to_string(rows) + " streams, context 128", {rows, 128, 1, true});
    return steps;
}

// Rates of this machine, as often as they were measured.
struct Rates {
    std::vector<double> read, int8, bf16, fp32;
};

class EngineBench {
  public:
    EngineBench(const CpuModel& model, std::shared_ptr<ComputePool> pool, StepTimer& timer)
        : model_(model), pool_(std::move(pool)), timer_(timer) {}

    // Round by round, so that what disturbs the machine for a while does not fall on one step alone.
    void run(std::vector<BenchStep>& steps, std::uint32_t rounds) {
        ProgressBar bar("timing steps");
        for (std::uint32_t round = 0; round < rounds; ++round) {
            for (std::size_t i = 0; i < steps.size(); ++i) {
                time(steps[i]);
                bar.show(round * steps.size() + i + 1, rounds * steps.size());
            }
        }
    }
    const Rates& rates() const { return rates_; }

  private:
    void time(BenchStep& step) {
        timer_.time(step.rows);  // brings weights and KV to where a server would have them
        const CpuRates now = measure_rates();
        // Some decodes, as a stream has them: one alone is shorter than what disturbs it.
        const int repeats = step.rows.tokens == 1 ? 8 : 1;
        std::vector<double> times;
        for (int i = 0; i < repeats; ++i) times.push_back(timer_.time(step.rows).us);
        const double us = median(std::move(times));
        step.us.push_back(us);
        const StepNeeds needs = step_needs(model_, {step.rows.rows, step.rows.start, step.rows.tokens});
        const double bound = needs.seconds(now);
        if (bound > 0) step.shares.push_back(bound * 1e6 / us);
    }

    CpuRates measure_rates() {
        CpuRates now;
        now.read = std::max(meter_.measure(*pool_), meter_.measure(*pool_));
        now.int8 = measure_peak(*pool_, PeakKind::int8);
        now.fp32 = measure_peak(*pool_, PeakKind::fp32);
        rates_.read.push_back(now.read);
        rates_.int8.push_back(now.int8);
        rates_.fp32.push_back(now.fp32);
        rates_.bf16.push_back(measure_peak(*pool_, PeakKind::bf16));
        return now;
    }

    const CpuModel& model_;
    std::shared_ptr<ComputePool> pool_;
    StepTimer& timer_;
    ReadMeter meter_;
    Rates rates_;
};

double tokens_per_second(const BenchStep& step) {
    return step.rows.rows * step.rows.tokens / median(step.us) * 1e6;
}

std::string table(const ReadyModel& model, unsigned threads, const Rates& rates,
                  const std::vector<BenchStep>& steps) {
    char line[200];
    std::snprintf(line, sizeof line, "%s, %u threads, %s kernels, %.0f MiB of packed weights\n",
                  model.name.c_str(), threads, kernel_path_name(model.cpu->path()),
                  static_cast<double>(model.cpu->packed_bytes()) / (1 << 20));
    std::string text = line;
    std::snprintf(line, sizeof line,
                  "This machine: reads %.1f GB/s; int8 %.0f, bf16 %.0f, fp32 %.0f GOP/s\n\n",
                  median(rates.read) / giga, median(rates.int8) / giga, median(rates.bf16) / giga,
                  median(rates.fp32) / giga);
    text += line;
    std::snprintf(line, sizeof line, "%-34s %10s %10s %10s\n", "", "tokens/s", "ms", "of bound");
    text += line;
    for (const BenchStep& step : steps) {
        std::snprintf(line, sizeof line, "%-34s %10.1f %10.2f ", step.name.c_str(), tokens_per_second(step),
                      median(step.us) / 1e3);
        text += line;
        std::snprintf(line, sizeof line, "%8.0f %%\n", 100 * median(step.shares));
        text += step.shares.empty() ? "         -\n" : line;
    }
    return text;
}

std::string json(const ReadyModel& model, unsigned threads, const Rates& rates,
                 const std::vector<BenchStep>& steps) {
    net::JsonWriter json;
    json.begin_object().field("model", model.name).field("threads", threads);
    json.field("kernels", kernel_path_name(model.cpu->path()))
        .field("packed_bytes", model.cpu->packed_bytes());
    json.key("machine").begin_object();
    json.field("read_bytes_per_second", median(rates.read))
        .field("int8_operations_per_second", median(rates.int8));
    json.field("bf16_operations_per_second", median(rates.bf16))
        .field("fp32_operations_per_second", median(rates.fp32));
    json.end_object().key("steps").begin_array();
    for (const BenchStep& step : steps) {
        json.begin_object()
            .field("name", step.name)
            .field("rows", step.rows.rows)
            .field("context", step.rows.start);
        json.field("new_tokens", step.rows.tokens).field("tokens_per_second", tokens_per_second(step));
        json.field("us", median(step.us));
        if (!step.shares.empty()) json.field("share_of_bound", median(step.shares));
        json.end_object();
    }
    return json.end_array().end_object().text() + "\n";
}

}  // namespace

Status bench_engine(const Config& config, const EngineBenchOptions& options) {
    const auto source = only_model(config);
    if (!source) return source.error();
    const auto pool = std::make_shared<ComputePool>(config.engine.threads);
    auto model = set_up_model(config, *source, *pool);
    if (!model) return model.error();
    const std::uint32_t block_size = config.engine.block_size;
    std::vector<BenchStep> steps = steps_for(config.engine.max_num_batched_tokens, config.engine.max_num_seqs,
                                             model->loaded->spec.max_position);
    if (steps.empty()) return invalid_argument("--model: its context is too short to measure", "--model");
    std::uint32_t blocks = 1;
    for (const BenchStep& step : steps) blocks = std::max(blocks, step.rows.blocks(block_size));
    StepTimer timer(make_cpu_backend_factory(model->cpu, pool, blocks, block_size), block_size);
    timer.fill(blocks, 128);
    EngineBench bench(*model->cpu, pool, timer);
    bench.run(steps, options.rounds);
    if (options.json.empty()) {
        print(table(*model, pool->num_threads(), bench.rates(), steps));
        return {};
    }
    const std::string text = json(*model, pool->num_threads(), bench.rates(), steps);
    if (options.json == "-") {
        print(text);
        return {};
    }
    std::ofstream file(options.json);
    file << text;
    if (!file.flush()) return not_found("--json: cannot write the file " + options.json, "--json");
    return {};
}

}  // namespace troupe
