// Roofline arithmetic of decoders: what bytes and operations cost at best on devices that read and compute at
// given rates. A step reads every weight that it needs once, and each sequence's KV:
//
//   seconds = max(weight bytes / bandwidth, operations / rate) + KV bytes / bandwidth
//
// (S. Williams et al., "Roofline", 2009; R. Pope et al., "Efficiently Scaling Transformer Inference", 2022.)
// Pure numbers: bytes, operations, seconds, tokens, all as double.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/status.hpp"

namespace troupe {

// What a decoder's configuration says; 0: not known.
struct DecoderDimensions {
    std::uint32_t num_layers = 0;
    std::uint32_t hidden_size = 0;
    std::uint32_t num_heads = 0;     // 0: attention's own operations are not counted
    std::uint32_t num_kv_heads = 0;  // 0: nothing about KV is known
    std::uint32_t head_dim = 0;
    std::uint32_t max_context = 0;
    std::uint32_t num_experts = 0;  // of a layer; 0: no mixture of experts
    std::uint32_t experts_per_token = 0;
};

// A model as arithmetic sees it, whole: before it is divided among devices.
struct ModelShape : DecoderDimensions {
    std::string name;
    double weight_bytes = 0;    // stored
    double streamed_bytes = 0;  // read by every step: without the embedding's rows and without experts
    // Of all experts of all layers; 0: no mixture of experts. If num_experts is not known (0), what one token
    // does not need, and streamed_bytes is all that it does.
    double expert_bytes = 0;
    double flops_per_token = 0;       // 2 * parameters that a token is multiplied with, but for the head's
    double flops_per_logits_row = 0;  // the head's
    double kv_element_bytes = 2;

    bool knows_kv() const { return num_layers > 0 && num_kv_heads > 0 && head_dim > 0; }
    double kv_bytes_per_token() const {
        return 2.0 * num_layers * num_kv_heads * head_dim * kv_element_bytes;
    }
};

// One device; 0: not known.
struct DeviceNumbers {
    std::string name;
    double memory_bytes = 0;
    double bandwidth = 0;       // bytes per second, of its memory
    double flops = 0;           // operations per second, of the type that the weights compute in
    double link_bandwidth = 0;  // bytes per second and direction, to its neighbours
    double watts = 0;           // busy
    double host_bandwidth = 0;  // bytes per second and direction, to the host's memory
    double disk_bandwidth = 0;  // bytes per second, of its machine's disk
};

// How a model lies on devices: every matrix divided `tensor` ways, the layers divided into `pipeline` stages.
struct Parallelism {
    std::uint32_t tensor = 1;
    std::uint32_t pipeline = 1;
    std::uint32_t devices() const { return tensor * pipeline; }
};

// What one step has to do.
struct StepWork {
    double tokens = 0;  // new ones
    double logits_rows = 0;
    double context_tokens = 0;  // whose KV is read: of every row, its whole context once
    double attended_pairs = 0;  // sum over new tokens of the tokens that they attend to
};

// Bytes that the device with most of them holds or reads. A KV head is not divided: with more devices than KV
// heads each holds one.
double weight_bytes_per_device(const ModelShape& shape, Parallelism parallel);
double kv_bytes_per_token_per_device(const ModelShape& shape, Parallelism parallel);

// Weights that a step of so many tokens reads, of the whole model: of the experts those that are expected to
// be chosen by at least one token, if each token chooses evenly. Where the number of experts is not known,
// the most that it can be: no two tokens have anything in common.
double streamed_bytes(const ModelShape& shape, double tokens);

// The step's time without communication. With stages it is the time through all of them.
double step_seconds(const ModelShape& shape, const DeviceNumbers& device, Parallelism parallel,
                    const StepWork& work);

// From one token to the next of each of `batch` sequences that decode after `context` tokens.
double decode_seconds(const ModelShape& shape, const DeviceNumbers& device, Parallelism parallel,
                      double batch, double context);

// A prompt's computation without anything beside it.
double prefill_seconds(const ModelShape& shape, const DeviceNumbers& device, Parallelism parallel,
                       double prompt);

// Two all-reduces for each layer between tensor ranks and one message between stages; 0 where link or hidden
// size are not known.
double communication_seconds(const ModelShape& shape, const DeviceNumbers& device, Parallelism parallel,
                             double tokens);

// Tokens whose KV fits beside the weights.
double kv_capacity_tokens(const ModelShape& shape, const DeviceNumbers& device, Parallelism parallel);

enum class Binding : std::uint8_t { memory, bandwidth, compute };
const char* binding_name(Binding binding);

struct MaxBatch {
    std::uint64_t batch = 0;
    Binding binding = Binding::memory;          // what allows no more
    std::uint64_t by_memory = 0;                // as far as memory allows
    std::optional<std::uint64_t> by_bandwidth;  // as far as the time to read weights and KV allows
    std::optional<std::uint64_t> by_compute;    // the same with the time to compute in place of the weights'
};
// The largest batch of sequences of `context` tokens each, all decoding, whose step takes at most
// `tpot_seconds` (nothing: only memory counts).
MaxBatch max_batch(const ModelShape& shape, const DeviceNumbers& device, Parallelism parallel, double context,
                   std::optional<double> tpot_seconds);

// Whether the model can be divided like that. Errors name --tp or --pp, and the heads or layers that are too
// few.
Status can_divide(const ModelShape& shape, Parallelism parallel);
// Every way to divide the model among exactly so many devices.
std::vector<Parallelism> parallel_choices(const ModelShape& shape, std::uint32_t devices);

// Prefill on one group of devices and decode on another, or both mixed on each?
//
//   exposed = max(T_kv / L, T_kv - T_prefill * (L - 1) / L) + handshake    (KV is sent layer by layer)
//   gain    = N_out * (TPOT_chunked - TPOT_pure) + queueing saved
//
// It pays when exposed < gain. TPOT_chunked is that of steps which also carry the chunks of the prompts that
// arrive as fast as requests of N_out tokens leave a batch.
struct DisaggregationCase {
    double prompt = 0;
    double output = 0;
    double link_bandwidth = 0;  // bytes per second, of one device to one of the other group
    double batch = 1;
    double chunk = 512;  // tokens of a prompt in a mixed step at most
    double handshake_seconds = 0.001;
    double queueing_saved_seconds = 0;
};
struct Disaggregation {
    double prefill_seconds = 0;
    double transfer_seconds = 0;
    double exposed_seconds = 0;
    double tpot_pure_seconds = 0;
    double tpot_chunked_seconds = 0;
    double gain_seconds = 0;
    bool pays = false;
};
Disaggregation disaggregation(const ModelShape& shape, const DeviceNumbers& device, Parallelism parallel,
                              const DisaggregationCase& c);

// The link of one device from which on its KV is sent as fast as it is computed: k F / (2 P).
double hiding_link_bandwidth(const ModelShape& shape, const DeviceNumbers& device, Parallelism parallel);

}  // namespace troupe
