#include "cpu/cpu_model.hpp"

#include <sys/mman.h>

#include <bit>
#include <cstdio>

#include "cpu/kv_pool.hpp"

namespace troupe {
namespace {

std::vector<float> widen(const Tensor& tensor) {
    std::vector<float> values;
    if (!tensor) return values;
    values.resize(tensor.columns);
    dequantize_row(tensor, 0, values.data());
    return values;
}

std::vector<float> widen_norm(const Tensor& tensor, float offset) {
    std::vector<float> values = widen(tensor);
    for (float& value : values) value += offset;
    return values;
}

// FNV-1a over every number of the specification, going on from the weights' hash. The same tensors computed
// with another rotary base or another split into heads give other bits.
class SpecHash {
  public:
    explicit SpecHash(std::uint64_t hash) : hash_(hash) {}

    std::uint64_t of(const ModelSpec& spec) {
        for (const char letter : spec.architecture) add(static_cast<unsigned char>(letter));
        for (const std::uint32_t size : {spec.num_layers, spec.hidden_size, spec.num_heads, spec.num_kv_heads,
                                         spec.head_dim, spec.intermediate_size, spec.vocab_size})
            add(size);
        for (const float number : {spec.rms_norm_eps, spec.norm_offset, spec.attention_scale,
                                   spec.attention_softcap, spec.logits_softcap, spec.embedding_multiplier,
                                   spec.residual_multiplier, spec.logits_multiplier})
            add(std::bit_cast<std::uint32_t>(number));
        add(static_cast<std::uint64_t>(spec.norms));
        add(static_cast<std::uint64_t>(spec.qk_norm));
        add(static_cast<std::uint64_t>(spec.activation));
        for (const LayerSpec& layer : spec.layers) {
            add(layer.sliding_window);
            add(layer.rope);
            add(layer.moe ? 1 : 0);
        }
        for (const RopeSpec& rope : spec.ropes) add_rope(rope);
        if (spec.moe) add_moe(*spec.moe);
        return hash_;
    }

  private:
    void add(std::uint64_t value) {
        for (int byte = 0; byte < 8; ++byte, value >>= 8) hash_ = (hash_ ^ (value & 0xFF)) * 0x100000001B3U;
    }
    void add_rope(const RopeSpec& rope) {
        add(static_cast<std::uint64_t>(rope.type));
        for (const double number : {rope.theta, rope.factor, rope.low_freq_factor, rope.high_freq_factor,
                                    rope.beta_fast, rope.beta_slow, rope.attention_factor})
            add(std::bit_cast<std::uint64_t>(number));
        add(rope.original_max_position);
        add(rope.rotated);
        add(rope.truncate ? 1 : 0);
        add(rope.interleaved ? 1 : 0);
        for (const float divisor : rope.divisors) add(std::bit_cast<std::uint32_t>(divisor));
        for (const float divisor : rope.long_divisors) add(std::bit_cast<std::uint32_t>(divisor));
    }
    void add_moe(const MoeSpec& moe) {
        for (const std::uint32_t size :
             {moe.num_experts, moe.experts_per_token, moe.intermediate_size, moe.shared_intermediate_size})
            add(size);
        add(static_cast<std::uint64_t>(moe.routing));
        add(static_cast<std::uint64_t>(moe.activation));
        add(std::bit_cast<std::uint32_t>(moe.alpha));
        add(std::bit_cast<std::uint32_t>(moe.limit));
        add(moe.normalize ? 1 : 0);
        add(moe.shared_gate ? 1 : 0);
    }

    std::uint64_t hash_;
};

// What has been packed is not needed twice in memory. The system reads again what is touched again, such as
// rows of the embedding.
void give_back(const std::vector<std::span<const std::byte>>& mapped) {
    for (const auto bytes : mapped)
        madvise(const_cast<std::byte*>(bytes.data()), bytes.size(), MADV_DONTNEED);
}

}  // namespace

std::shared_ptr<const CpuModel> CpuModel::prepare(const ModelSpec& spec,
                                                  std::shared_ptr<const Weights> weights, Compute compute,
                                                  ComputePool& pool, KernelPath path,
                                                  const Progress& progress, std::optional<KvType> kv_type) {
    std::shared_ptr<CpuModel> model(new CpuModel);
    model->spec_ = spec;
    model->weights_ = std::move(weights);
    model->kv_type_ = kv_type.value_or(kv_type_of(compute));
    model->path_ = path;
    const Arithmetic arithmetic = compute == Compute::f32 ? Arithmetic::exact_f32 : Arithmetic::native;
    const auto linear = [&](const Tensor& matrix, const Tensor& bias = {}) -> CpuLinear {
        return {PackedMatrix::pack(pool, matrix, arithmetic, model->arena_), widen(bias)};
    };
    const Weights& from = *model->weights_;
    const std::size_t num_parts = from.layers.size() + 1;  // the layers, then lm_head
    model->parameters_.embedding = from.embedding;
    const auto norm = [&](const Tensor& weight) { return widen_norm(weight, spec.norm_offset); };
    const auto linear_or_none = [&](const Tensor& matrix, const Tensor& bias) {
        return matrix ? linear(matrix, bias) : CpuLinear();
    };
    const auto experts = [&](const LayerWeights& layer) -> CpuMoe {
        CpuMoe moe;
        if (!layer.router) return moe;
        const Arithmetic exact =
            block_columns(layer.router.type()) == 1 ? Arithmetic::native : Arithmetic::exact_f32;
        moe.router = {PackedMatrix::pack(pool, layer.router, exact, model->arena_), widen(layer.router_bias)};
        for (const ExpertWeights& expert : layer.experts) {
            moe.experts.push_back({linear(expert.gate, expert.gate_bias), linear(expert.up, expert.up_bias),
                                   linear(expert.down, expert.down_bias)});
        }
        if (layer.shared_gate_proj)
            moe.shared = {linear(layer.shared_gate_proj), linear(layer.shared_up), linear(layer.shared_down)};
        moe.shared_gate = widen(layer.shared_gate);
        return moe;
    };
    for (const LayerWeights& layer : from.layers) {
        model->parameters_.layers.push_back({
            .attn_norm = norm(layer.attn_norm),
            .q = linear(layer.q, layer.q_bias),
            .k = linear(layer.k, layer.k_bias),
            .v = linear(layer.v, layer.v_bias),
            .o = linear(layer.o, layer.o_bias),
            .q_norm = norm(layer.q_norm),
            .k_norm = norm(layer.k_norm),
            .sinks = widen(layer.sinks),
            .attn_post_norm = norm(layer.attn_post_norm),
            .ffn_norm = norm(layer.ffn_norm),
            .gate = linear_or_none(layer.gate, layer.gate_bias),
            .up = linear_or_none(layer.up, layer.up_bias),
            .down = linear_or_none(layer.down, layer.down_bias),
            .moe = experts(layer),
            .ffn_post_norm = norm(layer.ffn_post_norm),
        });
        give_back(from.mapped);
        if (progress) progress(model->parameters_.layers.size(), num_parts);
    }
    model->parameters_.final_norm = norm(from.final_norm);
    model->parameters_.lm_head = linear(from.lm_head);
    give_back(from.mapped);
    if (progress) progress(num_parts, num_parts);

    char text[96];
    std::snprintf(text, sizeof text, "cpu:1:model=%016llx:compute=%s:kv=%s",
                  static_cast<unsigned long long>(SpecHash(from.content_hash).of(spec)),
                  compute == Compute::f32 ? "f32" : "native", kv_type_name(model->kv_type_));
    model->numerics_ = text;
    return model;
}

}  // namespace troupe
