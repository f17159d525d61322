// The least that a step of a model on this CPU can take: its weights have to be read, its products computed.
#pragma once
#include <cstdint>

#include "cpu/cpu_model.hpp"

namespace troupe {

// A machine's rates, see cpu/machine_peaks.hpp; of all threads, per second.
struct CpuRates {
    double read = 0;            // bytes
    double int8 = 0, fp32 = 0;  // operations; 0: not known
};

// `rows` sequences of `tokens` new tokens each behind `start` that have KV; each draws one token.
struct StepSize {
    std::uint32_t rows = 1, start = 0, tokens = 1;
};

// What the step reads and computes at least. Of a layer's experts, those that so many tokens are expected to
// be sent to if each chooses evenly.
struct StepNeeds {
    double weight_bytes = 0, kv_bytes = 0;
    double int8_operations = 0;  // products of quantized weights with int8 activations
    double fp32_operations = 0;  // those of other weights, and attention's

    // max(weights read, products computed) + KV read; 0 if a rate that it needs is not known.
    double seconds(const CpuRates& rates) const;
};
StepNeeds step_needs(const CpuModel& model, const StepSize& size);

}  // namespace troupe
