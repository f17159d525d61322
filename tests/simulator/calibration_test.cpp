#include "engine/simulator/calibration.hpp"

#include <cmath>

#include "tests/catch.hpp"

using namespace troupe;

namespace {

// A machine whose steps follow the cost model exactly.
double truth(const StepFeatures& f) {
    const double tokens = f.tokens <= 8 ? 1000 + 10.0 * f.tokens : 1080 + 100.0 * (f.tokens - 8);
    return tokens + 20.0 * f.logits_rows + 0.5 * static_cast<double>(f.decode_context) +
           0.3 * static_cast<double>(f.chunk_context) + 0.02 * static_cast<double>(f.chunk_pairs);
}

StepFeatures chunk(std::uint32_t start, std::uint32_t tokens) {
    const std::uint64_t end = start + tokens, begin = start;
    if (tokens == 1) return {1, 0, end, 0, 0};
    return {tokens, 0, 0, end, (end * (end + 1) - begin * (begin + 1)) / 2};
}
StepFeatures decode(std::uint32_t rows, std::uint32_t context) {
    return {rows, rows, std::uint64_t{rows} * context, 0, 0};
}

Measurements measure() {
    Measurements measured;
    const auto add = [](std::vector<MeasuredStep>& list, const StepFeatures& f) {
        list.push_back({f, truth(f)});
    };
    for (const std::uint32_t tokens : {1U, 2U, 4U, 8U, 16U, 64U, 256U, 512U})
        add(measured.chunks, chunk(0, tokens));
    for (const std::uint32_t tokens : {16U, 64U, 256U})
        for (const std::uint32_t start : {512U, 1536U}) add(measured.later_chunks, chunk(start, tokens));
    for (const std::uint32_t rows : {1U, 2U, 4U, 8U, 16U, 64U}) add(measured.decodes, decode(rows, 33));
    for (const std::uint32_t rows : {1U, 8U}) add(measured.long_decodes, decode(rows, 1025));
    return measured;
}

bool near(double value, double expected) { return std::fabs(value - expected) <= 1e-6 * std::fabs(expected); }

}  // namespace

TEST_CASE("the fit finds the costs of a machine that follows the model") {
    const CalibratedCosts costs(fit_costs(measure()));
    for (const StepFeatures& f : {chunk(700, 32), chunk(100, 300), decode(12, 400), decode(1, 2000)})
        CHECK(near(costs.step_us(f), truth(f)));
    // A mixed step is the sum of its parts' features.
    StepFeatures mixed = chunk(256, 128);
    mixed.tokens += 8;
    mixed.logits_rows += 8;
    mixed.decode_context += 8 * 500;
    CHECK(near(costs.step_us(mixed), truth(mixed)));
}

TEST_CASE("no cost is negative, whatever noise says") {
    Measurements measured = measure();
    for (MeasuredStep& step : measured.later_chunks) step.us = 500;
    for (MeasuredStep& step : measured.long_decodes) step.us = 500;
    const CalibratedOptions fit = fit_costs(measured);
    CHECK(fit.decode_context_us == 0);
    CHECK(fit.chunk_context_us >= 0);
    CHECK(fit.chunk_pair_us >= 0);
    for (const double us : fit.logits.us) CHECK(us >= 0);
    CHECK(fit_costs({}).tokens.x.empty());
}

TEST_CASE("the steps of a server at work correct costs that were measured alone") {
    CalibratedOptions costs = fit_costs(measure());
    std::vector<RecordedStep> steps;
    const auto add = [&](const StepFeatures& f, double us) {
        for (int i = 0; i < 20; ++i) {
            RecordedStep& step = steps.emplace_back();
            step.features = f;
            step.us = std::llround(us);
        }
        steps.back().us *= 50;  // somebody else had the cores for a while
    };
    // Beside others decodes take 100 us more for each row, prompts a quarter more.
    for (const std::uint32_t rows : {1U, 2U, 4U, 16U})
        add(decode(rows, 100), truth(decode(rows, 100)) + 100.0 * rows);
    for (const StepFeatures& f : {chunk(0, 200), chunk(512, 384)}) add(f, 1.25 * truth(f));
    correct_costs(costs, steps);
    const CalibratedCosts corrected(costs);
    for (const std::uint32_t rows : {1U, 2U, 4U, 16U}) {
        const StepFeatures f = decode(rows, 300);
        CHECK(std::fabs(corrected.step_us(f) - truth(f) - 100.0 * rows) < 1);
    }
    const StepFeatures whole = chunk(0, 300);
    CHECK(std::fabs(corrected.step_us(whole) / (1.25 * truth(whole)) - 1) < 0.001);
    // Steps of a few rows are not those of prompts.
    CHECK(corrected.step_us(decode(64, 10)) < truth(decode(64, 10)) + 1601);
}

TEST_CASE("the gap between steps is that of steps planned ahead") {
    std::vector<RecordedStep> steps(40);
    for (std::size_t i = 0; i < steps.size(); ++i) {
        steps[i].planned_ahead = i % 2 == 0;
        steps[i].idle_us = i % 2 == 0 ? 70 : 500'000;  // nobody asked for anything
    }
    CHECK(mean_gap_us(steps) == 70);
    CHECK(mean_gap_us({}) == 0);
}
