// What `troupe plan` was asked: flags as text, and what they mean together.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/status.hpp"
#include "engine/roofline.hpp"

namespace troupe {

// As given; empty: not given.
struct PlanFlags {
    std::string model, params, active_params, weight_dtype, weights_per_gpu;
    std::string layers, heads, kv_heads, head_dim, hidden, kv_dtype;
    std::string device, gpus, tensor, pipeline, gpu_memory, bandwidth, flops;
    std::string tpot, context, batch, chunk, handshake, queueing_saved;
    std::vector<std::string> links, prompts, outputs;
    bool json = false;
};

struct PlanInput {
    ModelShape shape;
    DeviceNumbers device;
    Parallelism parallel;
    std::optional<double> tpot_seconds, context;
    bool knows_batches = false;                   // KV and memory are known
    bool knows_disaggregation = false;            // and so are operations
    std::vector<double> links, prompts, outputs;  // bytes per second and device; tokens
    DisaggregationCase disaggregation;            // its batch 0: as large as fits, at most 32
};

// Errors name the flag at fault, or those that are missing.
Result<PlanInput> read_plan(const PlanFlags& flags);

}  // namespace troupe
