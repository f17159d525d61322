#include "engine/simulator/calibration.hpp"

#include <algorithm>

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

}  // namespace

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
