#include "cpu/cpu_model.hpp"

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
    std::snprintf(text, sizeof text, "cpu:1:weights=%016llx:compute=%s:kv=%s",
                  static_cast<unsigned long long>(from.content_hash),
                  compute == Compute::f32 ? "f32" : "native", compute == Compute::f32 ? "f32" : "f16");
    model->numerics_ = text;
    return model;
}

}  // namespace troupe
