#include "engine/simulator/calibration.hpp"

#include <algorithm>
#include <bit>
#include <map>
#include <numeric>

namespace troupe {
namespace {

const MeasuredStep* with_tokens(const std::vector<MeasuredStep>& steps, std::uint32_t tokens) {
    for (const MeasuredStep& step : steps)
        if (step.features.tokens == tokens) return &step;
    return nullptr;
}

double difference(std::uint64_t later, std::uint64_t first) {
    return static_cast<double>(later) - static_cast<double>(first);
}

// What more context costs, from pairs of steps that differ in nothing else. Relative errors count: each pair
// is divided by the longer step's time. Neither coefficient is negative.
void fit_chunks(const Measurements& measured, CalibratedOptions& fit) {
    double aa = 0, ab = 0, bb = 0, ay = 0, by = 0;
    for (const MeasuredStep& later : measured.later_chunks) {
        const MeasuredStep* first = with_tokens(measured.chunks, later.features.tokens);
        if (first == nullptr || later.us <= 0) continue;
        const double a = difference(later.features.chunk_context, first->features.chunk_context) / later.us;
        const double b = difference(later.features.chunk_pairs, first->features.chunk_pairs) / later.us;
        const double y = (later.us - first->us) / later.us;
        aa += a * a, ab += a * b, bb += b * b, ay += a * y, by += b * y;
    }
    const double determinant = aa * bb - ab * ab;
    if (determinant > 1e-12 * aa * bb) {
        fit.chunk_context_us = (ay * bb - by * ab) / determinant;
        fit.chunk_pair_us = (by * aa - ay * ab) / determinant;
    }
    if (fit.chunk_context_us <= 0) {
        fit.chunk_context_us = 0;
        fit.chunk_pair_us = bb > 0 ? std::max(0.0, by / bb) : 0;
    } else if (fit.chunk_pair_us <= 0) {
        fit.chunk_pair_us = 0;
        fit.chunk_context_us = aa > 0 ? std::max(0.0, ay / aa) : 0;
    }
}

void fit_decodes(const Measurements& measured, CalibratedOptions& fit) {
    double aa = 0, ay = 0;
    for (const MeasuredStep& later : measured.long_decodes) {
        const MeasuredStep* first = with_tokens(measured.decodes, later.features.tokens);
        if (first == nullptr || later.us <= 0) continue;
        const double a = difference(later.features.decode_context, first->features.decode_context) / later.us;
        aa += a * a;
        ay += a * (later.us - first->us) / later.us;
    }
    fit.decode_context_us = aa > 0 ? std::max(0.0, ay / aa) : 0;
}

constexpr std::size_t fewest_steps = 10;  // of a kind, to say something about it

// Of the middle nine tenths: a step that the machine interrupted says nothing, the usual unrest does.
double trimmed_mean(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    const auto cut = static_cast<std::ptrdiff_t>(values.size() / 20);
    return std::accumulate(values.begin() + cut, values.end() - cut, 0.0) /
           static_cast<double>(values.size() - 2 * static_cast<std::size_t>(cut));
}

bool is_decode(const RecordedStep& step) {
    return step.features.chunk_context == 0 && step.features.logits_rows == step.features.tokens;
}

void correct_decodes(CalibratedOptions& fit, const std::vector<RecordedStep>& steps) {
    const CalibratedCosts costs(fit);
    std::map<std::uint32_t, std::vector<double>> more;  // than calibrated; by the power of two of the rows
    for (const RecordedStep& step : steps)
        if (is_decode(step))
            more[std::bit_floor(step.features.logits_rows)].push_back(static_cast<double>(step.us) -
                                                                      costs.step_us(step.features));
    MeasuredCurve extra;
    for (auto& [rows, values] : more) {
        if (values.size() < fewest_steps) continue;
        extra.x.push_back(rows);
        extra.us.push_back(trimmed_mean(std::move(values)));
    }
    for (std::size_t i = 0; i < fit.logits.x.size(); ++i)
        fit.logits.us[i] = std::max(0.0, fit.logits.us[i] + extra.clamped(fit.logits.x[i]));
}

void correct_chunks(CalibratedOptions& fit, const std::vector<RecordedStep>& steps) {
    const CalibratedCosts costs(fit);
    std::vector<double> factors;
    for (const RecordedStep& step : steps) {
        const double drawing = fit.logits.at(step.features.logits_rows) +
                               fit.decode_context_us * static_cast<double>(step.features.decode_context);
        const double prompts = costs.step_us(step.features) - drawing;
        if (step.features.tokens > fit.logits.x.back() && step.features.chunk_context > 0 && prompts > 0)
            factors.push_back((static_cast<double>(step.us) - drawing) / prompts);
    }
    if (factors.size() < fewest_steps) return;
    const double factor = std::max(0.1, trimmed_mean(std::move(factors)));
    fit.chunk_context_us *= factor;
    fit.chunk_pair_us *= factor;
    for (std::size_t i = 0; i < fit.tokens.x.size(); ++i)
        if (fit.tokens.x[i] > fit.logits.x.back()) fit.tokens.us[i] *= factor;
}

}  // namespace

void correct_costs(CalibratedOptions& costs, const std::vector<RecordedStep>& steps) {
    if (costs.logits.x.empty()) return;
    correct_decodes(costs, steps);
    correct_chunks(costs, steps);
}

double mean_gap_us(const std::vector<RecordedStep>& steps) {
    std::vector<double> gaps;
    for (const RecordedStep& step : steps)
        if (step.planned_ahead) gaps.push_back(static_cast<double>(step.idle_us));
    return gaps.empty() ? 0 : trimmed_mean(std::move(gaps));
}

CalibratedOptions fit_costs(const Measurements& measured) {
    CalibratedOptions fit;
    fit_chunks(measured, fit);
    fit_decodes(measured, fit);
    for (const MeasuredStep& step : measured.chunks) {
        const double context = fit.decode_context_us * static_cast<double>(step.features.decode_context) +
                               fit.chunk_context_us * static_cast<double>(step.features.chunk_context) +
                               fit.chunk_pair_us * static_cast<double>(step.features.chunk_pairs);
        fit.tokens.x.push_back(step.features.tokens);
        fit.tokens.us.push_back(std::max(0.0, step.us - context));
    }
    for (const MeasuredStep& step : measured.decodes) {
        const double context = fit.decode_context_us * static_cast<double>(step.features.decode_context);
        const double drawing = step.us - context - fit.tokens.at(step.features.tokens);
        fit.logits.x.push_back(step.features.logits_rows);
        fit.logits.us.push_back(std::max(0.0, drawing));
    }
    return fit;
}

}  // namespace troupe
