// How long a step takes on a device that is not there.
#pragma once
#include <cstdint>
#include <vector>

#include "core/step_plan.hpp"
#include "engine/roofline.hpp"

namespace troupe {

// What a step has to do, as far as its time depends on it.
struct StepFeatures {
    std::uint32_t tokens = 0;          // new ones, all rows
    std::uint32_t logits_rows = 0;     // tokens to draw
    std::uint64_t decode_context = 0;  // sum over rows of one token: their context, it included
    std::uint64_t chunk_context = 0;   // the same over rows of several
    std::uint64_t chunk_pairs = 0;     // over those rows' tokens: the tokens that each attends to

    // A row of a sequence that has KV of `begin` tokens.
    void add(const PlanRow& row, std::uint64_t begin);
};

class StepCosts {
  public:
    virtual ~StepCosts() = default;
    virtual double step_us(const StepFeatures& step) const = 0;
};

// Roofline arithmetic (engine/roofline.hpp), with the shares of the device's rates that real kernels reach
// and a fixed time for launching them.
struct RooflineOptions {
    ModelShape shape;
    DeviceNumbers device;
    Parallelism parallel;
    double reached_bandwidth = 0.9;  // of an H200's 4.8 TB/s, 4.3 are measured
    double reached_flops = 0.8;      // of its 989 TFLOP/s, 790
    double launch_us = 500;
};
class RooflineCosts final : public StepCosts {
  public:
    explicit RooflineCosts(RooflineOptions options);
    double step_us(const StepFeatures& step) const override;

  private:
    RooflineOptions options_;
};

// Measured: `us` at `x`, straight lines between, the last line goes on. x ascending.
struct MeasuredCurve {
    std::vector<double> x, us;
    double at(double value) const;
    double clamped(double value) const;  // the first and the last `us` beyond the ends instead, below 0 too
};

// What `troupe calibrate` measured:
//   step = tokens(T) + logits(R) + decode_us * decode context + chunk_us * chunk context + pair_us * pairs
struct CalibratedOptions {
    MeasuredCurve tokens;  // of a step that draws nothing
    MeasuredCurve logits;  // what drawing R tokens adds
    double decode_context_us = 0;
    double chunk_context_us = 0;
    double chunk_pair_us = 0;
};
class CalibratedCosts final : public StepCosts {
  public:
    explicit CalibratedCosts(CalibratedOptions options) : options_(std::move(options)) {}
    double step_us(const StepFeatures& step) const override;

  private:
    CalibratedOptions options_;
};

}  // namespace troupe
