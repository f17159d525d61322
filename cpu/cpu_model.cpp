#include "cpu/cpu_model.hpp"

#include <bit>
#include <cstdio>

namespace troupe {
namespace {

std::vector<float> widen(const Tensor& tensor) {
    std::vector<float> values;
    if (!tensor) return values;
    values.resize(tensor.columns);
    dequantize_row(tensor, 0, values.data());
    return values;
}

// FNV-1a over every number of the specification, going on from the weights' hash. The same tensors computed
// with another rotary base or another split into heads give other bits.
std::uint64_t model_hash(const ModelSpec& spec, std::uint64_t hash) {
    const auto add = [&hash](std::uint64_t value) {
        for (int byte = 0; byte < 8; ++byte, value >>= 8) hash = (hash ^ (value & 0xFF)) * 0x100000001B3U;
    };
    for (const char letter : spec.architecture) add(static_cast<unsigned char>(letter));
    for (const std::uint32_t size : {spec.num_layers, spec.hidden_size, spec.num_heads, spec.num_kv_heads,
                                     spec.head_dim, spec.intermediate_size, spec.vocab_size})
        add(size);
    add(std::bit_cast<std::uint32_t>(spec.rms_norm_eps));
    const RopeSpec& rope = spec.rope;
    add(static_cast<std::uint64_t>(rope.type));
    for (const double number : {rope.theta, rope.factor, rope.low_freq_factor, rope.high_freq_factor})
        add(std::bit_cast<std::uint64_t>(number));
    add(rope.original_max_position);
    add(rope.interleaved ? 1 : 0);
    return hash;
}

}  // namespace

std::shared_ptr<const CpuModel> CpuModel::prepare(const ModelSpec& spec,
                                                  std::shared_ptr<const Weights> weights, Compute compute,
                                                  ComputePool& pool, KernelPath path,
                                                  const Progress& progress) {
    std::shared_ptr<CpuModel> model(new CpuModel);
    model->spec_ = spec;
    model->weights_ = std::move(weights);
    model->compute_ = compute;
    model->path_ = path;
    const Arithmetic arithmetic = compute == Compute::f32 ? Arithmetic::exact_f32 : Arithmetic::native;
    const auto linear = [&](const Tensor& matrix, const Tensor& bias = {}) -> CpuLinear {
        return {PackedMatrix::pack(pool, matrix, arithmetic, model->arena_), widen(bias)};
    };
    const Weights& from = *model->weights_;
    const std::size_t num_parts = from.layers.size() + 1;  // the layers, then lm_head
    model->parameters_.embedding = from.embedding;
    for (const LayerWeights& layer : from.layers) {
        model->parameters_.layers.push_back({widen(layer.attn_norm), linear(layer.q, layer.q_bias),
                                             linear(layer.k, layer.k_bias), linear(layer.v, layer.v_bias),
                                             linear(layer.o, layer.o_bias), widen(layer.ffn_norm),
                                             linear(layer.gate), linear(layer.up), linear(layer.down)});
        if (progress) progress(model->parameters_.layers.size(), num_parts);
    }
    model->parameters_.final_norm = widen(from.final_norm);
    model->parameters_.lm_head = linear(from.lm_head);
    if (progress) progress(num_parts, num_parts);

    char text[96];
    std::snprintf(text, sizeof text, "cpu:1:model=%016llx:compute=%s:kv=%s",
                  static_cast<unsigned long long>(model_hash(spec, from.content_hash)),
                  compute == Compute::f32 ? "f32" : "native", compute == Compute::f32 ? "f32" : "f16");
    model->numerics_ = text;
    return model;
}

}  // namespace troupe
