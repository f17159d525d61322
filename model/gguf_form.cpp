#include "model/gguf_form.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "model/gguf_names.hpp"

namespace troupe {
namespace {

struct Family {
    const char* hf;
    const char* gguf;
    bool interleaved;
};
constexpr Family families[] = {
    {"llama", "llama", true},         {"mistral", "llama", true},       {"mixtral", "llama", true},
    {"qwen2", "qwen2", false},        {"qwen2_moe", "qwen2moe", false}, {"qwen3", "qwen3", false},
    {"qwen3_moe", "qwen3moe", false}, {"gemma2", "gemma2", false},      {"gemma3_text", "gemma3", false},
    {"phi3", "phi3", false},          {"gpt_oss", "gpt-oss", false},    {"olmo2", "olmo2", false},
    {"granite", "granite", true},     {"smollm3", "smollm3", true}};

double in_float(double value) { return static_cast<float>(value); }

// rope_freqs.weight of llama.cpp's converter: what llama3's scaling divides each frequency by.
std::vector<float> llama3_divisors(const RopeSpec& rope, std::uint32_t head_dim) {
    std::vector<float> divisors(head_dim / 2);
    for (std::size_t i = 0; i < divisors.size(); ++i) {
        const double frequency = std::pow(rope.theta, -2.0 * static_cast<double>(i) / head_dim);
        const double turns = rope.original_max_position * frequency / (2.0 * std::numbers::pi);
        const double kept = (turns - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
        double divisor = 1.0 / ((1.0 - kept) / rope.factor + kept);
        if (turns < rope.low_freq_factor) divisor = rope.factor;
        if (turns > rope.high_freq_factor) divisor = 1.0;
        divisors[i] = static_cast<float>(divisor);
    }
    return divisors;
}

// Only what its type reads, in GGUF's precision.
Result<RopeSpec> gguf_rope(const RopeSpec& rope, std::uint32_t head_dim, bool interleaved) {
    RopeSpec out;
    out.theta = in_float(rope.theta);
    out.interleaved = interleaved;
    out.rotated = rope.rotated == head_dim ? 0 : rope.rotated;
    out.divisors = rope.divisors;
    out.long_divisors = rope.long_divisors;
    if (interleaved && out.rotated != 0)
        return invalid_argument(
            "GGUF files of this family cannot say that only a part of each head rotates.");
    switch (rope.type) {
        case RopeType::standard:
            return out;
        case RopeType::dynamic:
            return invalid_argument("GGUF has no dynamic rope scaling.");
        case RopeType::llama3:
            out.divisors = llama3_divisors(rope, head_dim);
            return out;
        case RopeType::linear:
            out.factor = in_float(rope.factor);
            break;
        case RopeType::yarn: {
            out.factor = in_float(rope.factor);
            out.original_max_position = rope.original_max_position;
            out.beta_fast = in_float(rope.beta_fast);
            out.beta_slow = in_float(rope.beta_slow);
            out.truncate = rope.truncate;
            const double usual = out.factor > 1.0 ? 0.1 * std::log(out.factor) + 1.0 : 1.0;
            out.attention_factor = in_float(rope.attention_factor / usual) * usual;
            break;
        }
        case RopeType::longrope:
            out.original_max_position = rope.original_max_position;
            out.attention_factor = in_float(rope.attention_factor);
            break;
    }
    out.type = rope.type;
    return out;
}

Result<ModelSpec> gguf_spec(ModelSpec spec) {
    const Family* family = std::find_if(std::begin(families), std::end(families),
                                        [&](const Family& one) { return spec.architecture == one.hf; });
    if (family == std::end(families))
        return invalid_argument("GGUF has no architecture for " + spec.architecture + " models.");
    spec.architecture = family->gguf;
    for (RopeSpec& rope : spec.ropes) {
        auto converted = gguf_rope(rope, spec.head_dim, family->interleaved && &rope == &spec.ropes[0]);
        if (!converted) return converted.error();
        rope = *std::move(converted);
    }
    spec.norm_offset = 0.0F;
    if (spec.attention_scale == 1.0F / std::sqrt(static_cast<float>(spec.head_dim)))
        spec.attention_scale = 0.0F;
    const double divisor = in_float(1.0 / static_cast<double>(spec.logits_multiplier));
    spec.logits_multiplier = static_cast<float>(1.0 / divisor);
    return spec;
}

// Gives each tensor of a model what it becomes.
class Arranger {
  public:
    Arranger(const ModelSpec& spec, Weights weights, TypeChooser& types, bool from_gguf, float norm_offset)
        : spec_(spec),
          weights_(std::move(weights)),
          types_(types),
          from_gguf_(from_gguf),
          norm_offset_(norm_offset) {}

    Weights arrange() {
        weights_.lm_head = end(weights_.lm_head);
        weights_.embedding = end(weights_.embedding);
        norm(weights_.final_norm);
        for (LayerWeights& layer : weights_.layers) arrange_layer(layer);
        const auto type = static_cast<std::uint64_t>(types_.wanted());
        weights_.content_hash = (weights_.content_hash ^ (type + 1)) * 0x100000001B3U;
        return std::move(weights_);
    }

  private:
    void arrange_layer(LayerWeights& layer) {
        const bool interleaved = !from_gguf_ && spec_.ropes[0].interleaved;
        const std::uint32_t q_heads = interleaved ? spec_.num_heads : 0;
        const std::uint32_t k_heads = interleaved ? spec_.num_kv_heads : 0;
        for (Tensor* one : {&layer.v, &layer.o, &layer.gate, &layer.up, &layer.down, &layer.shared_gate_proj,
                            &layer.shared_up, &layer.shared_down})
            matrix(*one);
        matrix(layer.q, q_heads);
        matrix(layer.k, k_heads);
        for (ExpertWeights& expert : layer.experts) {
            for (Tensor* one : {&expert.gate, &expert.up, &expert.down}) matrix(*one);
            for (Tensor* one : {&expert.gate_bias, &expert.up_bias, &expert.down_bias}) vector(*one);
        }
        for (Tensor* one : {&layer.attn_norm, &layer.attn_post_norm, &layer.ffn_norm, &layer.ffn_post_norm,
                            &layer.q_norm, &layer.k_norm})
            norm(*one);
        for (Tensor* one : {&layer.v_bias, &layer.o_bias, &layer.sinks, &layer.gate_bias, &layer.up_bias,
                            &layer.down_bias, &layer.router_bias, &layer.shared_gate})
            vector(*one);
        vector(layer.q_bias, 0.0F, q_heads);
        vector(layer.k_bias, 0.0F, k_heads);
        if (layer.router && !from_gguf_) layer.router.becomes = DType::f32;
    }

    Tensor end(Tensor tensor) {
        tensor.becomes = types_.of_end(tensor.dtype, tensor.columns);
        return tensor;
    }
    void matrix(Tensor& tensor, std::uint32_t paired_heads = 0) {
        if (!tensor) return;
        tensor.becomes = types_.of_matrix(tensor.dtype, tensor.columns);
        tensor.paired_heads = paired_heads;
    }
    void norm(Tensor& tensor) { vector(tensor, norm_offset_); }

    // Float32 in memory of its own: there are few numbers.
    void vector(Tensor& tensor, float offset = 0.0F, std::uint32_t paired_heads = 0) {
        if (!tensor || from_gguf_) return;
        auto values = std::make_shared<std::vector<float>>(tensor.columns);
        dequantize_row(tensor, 0, values->data());
        for (float& value : *values) value += offset;
        if (paired_heads != 0) {
            const Tensor rows{DType::f32, tensor.columns,
                              1,          reinterpret_cast<const std::byte*>(values->data()),
                              {},         paired_heads};
            auto ordered = std::make_shared<std::vector<float>>(tensor.columns);
            for (std::uint32_t i = 0; i < tensor.columns; ++i) dequantize_row(rows, i, &(*ordered)[i]);
            values = ordered;
        }
        tensor = {DType::f32, 1, tensor.columns, reinterpret_cast<const std::byte*>(values->data())};
        weights_.storage.push_back(std::move(values));
    }

    const ModelSpec& spec_;
    Weights weights_;
    TypeChooser& types_;
    bool from_gguf_;
    float norm_offset_;
};

// The first matrix that is quantized already, if any is.
const Tensor* quantized_matrix(const Weights& weights) {
    for (const LayerWeights& layer : weights.layers)
        for (const Tensor* one : {&layer.q, &layer.o, &layer.gate, &layer.down})
            if (*one && block_columns(one->dtype) > 1) return one;
    return nullptr;
}

}  // namespace

Result<LoadedModel> as_gguf(LoadedModel model, TypeChooser& types) {
    if (const Tensor* quantized = quantized_matrix(*model.weights)) {
        return invalid_argument(model.name + " is quantized already (" + dtype_name(quantized->dtype) +
                                "); --quantize is for weights in F32, F16 or BF16.");
    }
    const bool from_gguf = model.is_gguf;
    const float offset = model.spec.norm_offset;
    if (!from_gguf) {
        auto spec = gguf_spec(std::move(model.spec));
        if (!spec) return Error{spec.error().code, model.name + ": " + spec.error().message, {}, {}};
        model.spec = *std::move(spec);
    }
    model.weights = std::make_shared<const Weights>(
        Arranger(model.spec, *model.weights, types, from_gguf, offset).arrange());
    return model;
}

}  // namespace troupe
