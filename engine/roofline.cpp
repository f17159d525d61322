#include "engine/roofline.hpp"

#include <algorithm>
#include <cmath>

namespace troupe {
namespace {

constexpr double all_reduce_latency = 5e-6;  // seconds, of a small one over NVLink
constexpr double activation_bytes = 2;

double divide_up(std::uint32_t a, std::uint32_t b) { return static_cast<double>((a + b - 1) / b); }

// Batches are counted in whole sequences; a hair's breadth of rounding must not cost one.
std::uint64_t whole(double sequences) {
    return sequences <= 0 ? 0 : static_cast<std::uint64_t>(sequences * (1 + 1e-12));
}

}  // namespace

double weight_bytes_per_device(const ModelShape& shape, Parallelism parallel) {
    return shape.weight_bytes / parallel.devices();
}

double kv_bytes_per_token_per_device(const ModelShape& shape, Parallelism parallel) {
    return 2.0 * divide_up(shape.num_layers, parallel.pipeline) *
           divide_up(shape.num_kv_heads, parallel.tensor) * shape.head_dim * shape.kv_element_bytes;
}

double streamed_bytes(const ModelShape& shape, double tokens) {
    if (shape.num_experts == 0)
        return std::min(shape.streamed_bytes + shape.expert_bytes,
                        shape.streamed_bytes * std::max(1.0, tokens));
    const double chosen = static_cast<double>(shape.experts_per_token) / shape.num_experts;
    return shape.streamed_bytes + shape.expert_bytes * (1 - std::pow(1 - chosen, tokens));
}

double step_seconds(const ModelShape& shape, const DeviceNumbers& device, Parallelism parallel,
                    const StepWork& work) {
    const double ranks = parallel.tensor;
    const double read = streamed_bytes(shape, work.tokens) / ranks / device.bandwidth;
    double computed = 0;
    if (device.flops > 0) {
        const double attention = 4.0 * shape.num_layers * shape.num_heads * shape.head_dim;
        const double operations = shape.flops_per_token * work.tokens +
                                  shape.flops_per_logits_row * work.logits_rows +
                                  attention * work.attended_pairs;
        computed = operations / ranks / device.flops;
    }
    double kv = 0;
    if (shape.knows_kv()) {
        const double per_token = kv_bytes_per_token_per_device(shape, parallel) * parallel.pipeline;
        kv = work.context_tokens * per_token / device.bandwidth;
    }
    return std::max(read, computed) + kv;
}

double decode_seconds(const ModelShape& shape, const DeviceNumbers& device, Parallelism parallel,
                      double batch, double context) {
    // Stages work on as many micro-batches at a time, and a token passes through all of them. Attention's
    // operations are few beside the KV that they read: one query for each.
    const double rows = std::max(1.0, batch / parallel.pipeline);
    return step_seconds(shape, device, parallel, {rows, rows, rows * context, 0});
}

double prefill_seconds(const ModelShape& shape, const DeviceNumbers& device, Parallelism parallel,
                       double prompt) {
    return step_seconds(shape, device, parallel, {prompt, 1, prompt, prompt * (prompt + 1) / 2});
}

double communication_seconds(const ModelShape& shape, const DeviceNumbers& device, Parallelism parallel,
                             double tokens) {
    if (shape.hidden_size == 0 || device.link_bandwidth <= 0) return 0;
    const double message = tokens * shape.hidden_size * activation_bytes;
    double seconds = 0;
    if (parallel.tensor > 1) {
        const double ring = 2.0 * (parallel.tensor - 1) / parallel.tensor;
        seconds += 2.0 * shape.num_layers * (ring * message / device.link_bandwidth + all_reduce_latency);
    }
    return seconds + (parallel.pipeline - 1) * (message / device.link_bandwidth + all_reduce_latency);
}

double kv_capacity_tokens(const ModelShape& shape, const DeviceNumbers& device, Parallelism parallel) {
    const double left = device.memory_bytes - weight_bytes_per_device(shape, parallel);
    return std::max(0.0, left) / kv_bytes_per_token_per_device(shape, parallel);
}

const char* binding_name(Binding binding) {
    switch (binding) {
        case Binding::memory:
            return "memory";
        case Binding::bandwidth:
            return "bandwidth";
        case Binding::compute:
            return "compute";
    }
    return "";
}

MaxBatch max_batch(const ModelShape& shape, const DeviceNumbers& device, Parallelism parallel, double context,
                   std::optional<double> tpot_seconds) {
    MaxBatch result;
    result.by_memory = whole(kv_capacity_tokens(shape, device, parallel) / context);
    result.batch = result.by_memory;
    if (!tpot_seconds) return result;
    // Binary search: the step's time grows with the batch, and with experts it is no straight line.
    const auto largest = [&](const DeviceNumbers& limits) {
        std::uint64_t low = 0, high = 1;
        const auto fits = [&](std::uint64_t batch) {
            return decode_seconds(shape, limits, parallel, static_cast<double>(batch), context) <=
                   *tpot_seconds * (1 + 1e-12);
        };
        while (high < (std::uint64_t{1} << 40) && fits(high)) high *= 2;
        while (high - low > 1) {
            const std::uint64_t middle = low + (high - low) / 2;
            (fits(middle) ? low : high) = middle;
        }
        return low;
    };
    DeviceNumbers no_compute = device;
    no_compute.flops = 0;
    result.by_bandwidth = largest(no_compute);
    if (device.flops > 0) result.by_compute = largest(device);
    if (*result.by_bandwidth < result.batch) {
        result.batch = *result.by_bandwidth;
        result.binding = Binding::bandwidth;
    }
    if (result.by_compute && *result.by_compute < result.batch) {
        result.batch = *result.by_compute;
        result.binding = Binding::compute;
    }
    return result;
}

Status can_divide(const ModelShape& shape, Parallelism parallel) {
    const std::uint32_t tensor = parallel.tensor, kv_heads = shape.num_kv_heads;
    const std::string divided = "--tp " + std::to_string(tensor) + " does not divide the model's ";
    if (shape.num_heads > 0 && shape.num_heads % tensor != 0)
        return invalid_argument(divided + std::to_string(shape.num_heads) + " attention heads", "--tp");
    if (kv_heads > 0 && kv_heads % tensor != 0 && tensor % kv_heads != 0)
        return invalid_argument(divided + std::to_string(kv_heads) + " KV heads", "--tp");
    if (shape.num_layers > 0 && parallel.pipeline > shape.num_layers) {
        return invalid_argument("--pp " + std::to_string(parallel.pipeline) + " is more than the model's " +
                                    std::to_string(shape.num_layers) + " layers",
                                "--pp");
    }
    return {};
}

std::vector<Parallelism> parallel_choices(const ModelShape& shape, std::uint32_t devices) {
    std::vector<Parallelism> choices;
    for (std::uint32_t tensor = devices; tensor >= 1; --tensor) {
        if (devices % tensor != 0) continue;
        if (const Parallelism choice{tensor, devices / tensor}; can_divide(shape, choice))
            choices.push_back(choice);
    }
    return choices;
}

Disaggregation disaggregation(const ModelShape& shape, const DeviceNumbers& device, Parallelism parallel,
                              const DisaggregationCase& c) {
    Disaggregation result;
    const double layers = shape.num_layers;
    result.prefill_seconds = prefill_seconds(shape, device, parallel, c.prompt);
    result.transfer_seconds = c.prompt * kv_bytes_per_token_per_device(shape, parallel) / c.link_bandwidth;
    result.exposed_seconds =
        std::max(result.transfer_seconds / layers,
                 result.transfer_seconds - result.prefill_seconds * (layers - 1) / layers) +
        c.handshake_seconds;
    const double context = c.prompt + c.output / 2;
    result.tpot_pure_seconds = decode_seconds(shape, device, parallel, c.batch, context);
    // Each step ends batch / output requests, and as many prompts must be computed by the steps.
    const double prompt_tokens = c.batch * c.prompt / c.output;
    const double chunk = std::min(c.chunk, c.prompt);
    const double share = std::min(1.0, prompt_tokens / chunk);  // of the steps have a chunk
    const double mixed =
        step_seconds(shape, device, parallel,
                     {c.batch + chunk, c.batch, c.batch * context + c.prompt / 2, chunk * c.prompt / 2});
    result.tpot_chunked_seconds = (1 - share) * result.tpot_pure_seconds + share * mixed;
    result.gain_seconds =
        c.output * (result.tpot_chunked_seconds - result.tpot_pure_seconds) + c.queueing_saved_seconds;
    result.pays = result.exposed_seconds < result.gain_seconds;
    return result;
}

double hiding_link_bandwidth(const ModelShape& shape, const DeviceNumbers& device, Parallelism parallel) {
    const double tokens_per_second = device.flops * parallel.tensor / shape.flops_per_token;
    return kv_bytes_per_token_per_device(shape, parallel) * tokens_per_second * parallel.pipeline;
}

}  // namespace troupe
