#include "apps/calibrated_steps.hpp"

#include <algorithm>

#include "apps/console.hpp"
#include "apps/device_costs.hpp"
#include "apps/model_setup.hpp"
#include "apps/step_timer.hpp"
#include "cpu/backend.hpp"
#include "cpu/machine_peaks.hpp"

namespace troupe {
namespace {

// All steps to time: four lists, as Measurements has them.
struct StepGrid {
    std::vector<TimedRows> chunks, later_chunks, decodes, long_decodes;
};

StepGrid make_grid(std::uint32_t most_tokens, std::uint32_t most_rows, std::uint32_t longest) {
    constexpr std::uint32_t counts[] = {1,  2,   3,   4,   6,   8,   12,  16,   24,   32,   48,   64,
                                        96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 4096, 8192};
    constexpr std::uint32_t short_context = 32;
    StepGrid grid;
    for (const std::uint32_t count : counts) {
        if (count <= std::min(most_tokens, longest - 1)) grid.chunks.push_back({1, 0, count, false});
        if (count <= std::min(most_rows, most_tokens) && longest > short_context)
            grid.decodes.push_back({count, short_context, 1, true});
    }
    for (const std::uint32_t tokens : {16U, 64U, 256U}) {
        for (const std::uint32_t start : {512U, 1536U})
            if (tokens <= most_tokens && start + tokens < longest)
                grid.later_chunks.push_back({1, start, tokens, false});
    }
    const TimedRows contexts[] = {
        {1, 512, 1, true}, {1, 1536, 1, true}, {8, 512, 1, true}, {8, 1024, 1, true}, {32, 256, 1, true}};
    for (const TimedRows& rows : contexts)
        if (rows.rows <= most_rows && rows.start + 1 < longest) grid.long_decodes.push_back(rows);
    return grid;
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

class GridTimer {
  public:
    GridTimer(StepTimer& timer, std::uint32_t rounds) : timer_(timer), rounds_(rounds) {}

    // Round by round, so that what disturbs the machine for a while does not fall on one step alone.
    Measurements time(const StepGrid& grid) {
        const std::pair<const std::vector<TimedRows>*, std::vector<MeasuredStep> Measurements::*> lists[] = {
            {&grid.chunks, &Measurements::chunks},
            {&grid.later_chunks, &Measurements::later_chunks},
            {&grid.decodes, &Measurements::decodes},
            {&grid.long_decodes, &Measurements::long_decodes}};
        std::vector<TimedRows> all;
        for (const auto& [rows, place] : lists) all.insert(all.end(), rows->begin(), rows->end());
        std::vector<std::vector<double>> times(all.size());
        std::vector<StepFeatures> features(all.size());
        ProgressBar bar("timing steps");
        for (std::uint32_t round = 0; round < rounds_; ++round) {
            for (std::size_t i = 0; i < all.size(); ++i) {
                timer_.time(all[i]);  // brings weights and KV to where a server would have them
                const MeasuredStep step = timer_.time(all[i]);
                features[i] = step.features;
                times[i].push_back(step.us);
                bar.show(round * all.size() + i, rounds_ * all.size());
            }
        }
        Measurements measured;
        std::size_t next = 0;
        for (const auto& [rows, place] : lists) {
            for (std::size_t i = 0; i < rows->size(); ++i, ++next)
                (measured.*place).push_back({features[next], median(times[next])});
        }
        return measured;
    }

  private:
    StepTimer& timer_;
    std::uint32_t rounds_;
};

std::uint32_t blocks_of(const StepGrid& grid, std::uint32_t block_size) {
    std::uint32_t most = 1;
    for (const auto* list : {&grid.chunks, &grid.later_chunks, &grid.decodes, &grid.long_decodes})
        for (const TimedRows& rows : *list) most = std::max(most, rows.blocks(block_size));
    return most;
}

}  // namespace

Result<DeviceFile> calibrate_steps(const Config& config, std::uint32_t rounds) {
    const auto source = only_model(config);
    if (!source) return source.error();
    const auto pool = std::make_shared<ComputePool>(config.engine.threads);
    auto model = set_up_model(config, *source, *pool);
    if (!model) return model.error();
    const std::uint32_t longest =
        config.engine.max_model_len > 0 ? config.engine.max_model_len : model->loaded->spec.max_position;
    const StepGrid grid =
        make_grid(config.engine.max_num_batched_tokens, config.engine.max_num_seqs, std::max(longest, 2U));
    const std::uint32_t blocks = blocks_of(grid, config.engine.block_size);
    StepTimer timer(make_cpu_backend_factory(model->cpu, pool, blocks, config.engine.block_size),
                    config.engine.block_size);
    timer.fill(blocks, std::min(config.engine.max_num_batched_tokens, longest - 1));
    DeviceFile device;
    set_costs(device, fit_costs(GridTimer(timer, rounds).time(grid)));
    device.name = "cpu, " + std::to_string(pool->num_threads()) + " threads";
    device.model = model->name;
    ReadMeter meter;
    for (std::uint32_t i = 0; i < rounds; ++i) {
        device.bandwidth = std::max(device.bandwidth, meter.measure(*pool));
        device.flops = std::max(device.flops, measure_peak(*pool, PeakKind::int8));
    }
    device.block_size = config.engine.block_size;
    device.max_num_seqs = config.engine.max_num_seqs;
    device.max_num_batched_tokens = config.engine.max_num_batched_tokens;
    device.max_steps_in_flight = config.engine.max_steps_in_flight;
    return device;
}

}  // namespace troupe
