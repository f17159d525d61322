#include "engine/simulator/step_costs.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

namespace troupe {

void StepFeatures::add(const PlanRow& row, std::uint64_t begin) {
    const std::uint64_t end = begin + row.num_new_tokens;
    tokens += row.num_new_tokens;
    if (row.num_new_tokens == 1) {
        decode_context += end;
    } else {
        chunk_context += end;
        chunk_pairs += (end * (end + 1) - begin * (begin + 1)) / 2;
    }
    if (row.kind == RowKind::sample) ++logits_rows;
}

RooflineCosts::RooflineCosts(RooflineOptions options) : options_(std::move(options)) {
    options_.device.bandwidth *= options_.reached_bandwidth;
    options_.device.flops *= options_.reached_flops;
}

double RooflineCosts::step_us(const StepFeatures& step) const {
    constexpr double us = 1e6;
    const RooflineOptions& o = options_;
    // Stages work on micro-batches side by side: a step of a part of the rows through all of them.
    const double stages = o.parallel.pipeline;
    const StepWork work{step.tokens / stages, step.logits_rows / stages,
                        static_cast<double>(step.decode_context + step.chunk_context) / stages,
                        static_cast<double>(step.decode_context + step.chunk_pairs) / stages};
    return us * (step_seconds(o.shape, o.device, o.parallel, work) +
                 communication_seconds(o.shape, o.device, o.parallel, step.tokens)) +
           o.launch_us;
}

double MeasuredCurve::at(double value) const {
    if (x.empty() || value <= 0) return 0;
    if (x.size() == 1) return us[0];
    const auto above = static_cast<std::size_t>(std::lower_bound(x.begin(), x.end(), value) - x.begin());
    const std::size_t right = std::clamp<std::size_t>(above, 1, x.size() - 1);
    const std::size_t left = right - 1;
    const double share = (value - x[left]) / (x[right] - x[left]);
    return std::max(0.0, us[left] + share * (us[right] - us[left]));
}

double MeasuredCurve::clamped(double value) const {
    if (x.empty()) return 0;
    const auto above = static_cast<std::size_t>(std::upper_bound(x.begin(), x.end(), value) - x.begin());
    if (above == 0 || above == x.size()) return above == 0 ? us.front() : us.back();
    return std::lerp(us[above - 1], us[above], (value - x[above - 1]) / (x[above] - x[above - 1]));
}

double CalibratedCosts::step_us(const StepFeatures& step) const {
    return options_.tokens.at(step.tokens) + options_.logits.at(step.logits_rows) +
           options_.decode_context_us * static_cast<double>(step.decode_context) +
           options_.chunk_context_us * static_cast<double>(step.chunk_context) +
           options_.chunk_pair_us * static_cast<double>(step.chunk_pairs);
}

}  // namespace troupe
