#include "model/hf_families.hpp"

#include <algorithm>
#include <cmath>

#include "model/formats/printable.hpp"

namespace troupe {
namespace {

using Biases = WeightsRequest::Biases;

// The window that a family has if its file does not say; null is none.
std::uint32_t window_or(JsonReader& json, std::uint32_t usual) {
    std::uint32_t window = json.has("sliding_window") ? 0 : usual;
    json.read("sliding_window", window);
    return window;
}

// Mistral and those after it: all layers have the window.
void window_everywhere(JsonReader& json, ModelSpec& spec, std::uint32_t usual = 0) {
    const std::uint32_t window = window_or(json, usual);
    for (LayerSpec& layer : spec.layers) layer.sliding_window = window;
}

bool switched_on(JsonReader& json, const char* name) {
    bool on = false;
    json.read(name, on);
    return on;
}

// `layer_types`, or a rule for files that came before it, says which layers slide; ropes[1], if there is one,
// is theirs.
template <class Rule>
void window_by_type(JsonReader& json, ModelSpec& spec, std::uint32_t window, Rule slides) {
    std::vector<std::string> types;
    json.read("layer_types", types);
    if (!types.empty() && types.size() != spec.layers.size()) {
        return json.fail("\"layer_types\" names " + std::to_string(types.size()) + " layers, the model has " +
                         std::to_string(spec.layers.size()) + ".");
    }
    for (std::size_t i = 0; i < spec.layers.size(); ++i) {
        if (!types.empty() && types[i] != "full_attention" && types[i] != "sliding_attention") {
            return json.fail("layer type \"" + printable(types[i]) +
                             "\" is not known; known are \"full_attention\" and \"sliding_attention\".");
        }
        if (types.empty() ? !slides(i) : types[i] != "sliding_attention") continue;
        spec.layers[i].sliding_window = window;
        if (spec.ropes.size() > 1) spec.layers[i].rope = 1;
    }
}

void biases_if_said(JsonReader& json, HfConfig& config) {
    if (switched_on(json, "attention_bias")) config.attention_biases = Biases::qkvo;
    config.ffn_biases = switched_on(json, "mlp_bias");
}

void llama(JsonReader& json, HfConfig& config) { biases_if_said(json, config); }

void mistral(JsonReader& json, HfConfig& config) { window_everywhere(json, config.spec, 4096); }

void mixtral(JsonReader& json, HfConfig& config) {
    window_everywhere(json, config.spec);
    MoeSpec& moe = config.spec.moe.emplace();
    json.require("num_local_experts", moe.num_experts);
    moe.experts_per_token = 2;
    json.read("num_experts_per_tok", moe.experts_per_token);
    moe.intermediate_size = config.spec.intermediate_size;
    moe.normalize = true;
    for (LayerSpec& layer : config.spec.layers) layer.moe = true;
    TensorNames& names = config.names;
    names.router = "block_sparse_moe.gate";
    names.experts = "block_sparse_moe.experts";
    names.expert_gate = "w1";
    names.expert_up = "w3";
    names.expert_down = "w2";
    names.fused_gate_up = "block_sparse_moe.experts.gate_up_proj";
    names.fused_down = "block_sparse_moe.experts.down_proj";
}

// `windowed(layer, max_window_layers)`: what decides where no layer_types are given.
void qwen_window(JsonReader& json, ModelSpec& spec, bool (*windowed)(std::size_t, std::uint32_t)) {
    std::uint32_t max_window_layers = 28;
    json.read("max_window_layers", max_window_layers);
    const std::uint32_t window = switched_on(json, "use_sliding_window") ? window_or(json, 4096) : 0;
    window_by_type(json, spec, window, [&](std::size_t i) { return windowed(i, max_window_layers); });
}

bool from_border_on(std::size_t layer, std::uint32_t border) { return layer >= border; }
bool every_other_below(std::size_t layer, std::uint32_t border) {
    return (layer + 1) % 2 != 0 && layer < border;
}

void qwen2(JsonReader& json, HfConfig& config) {
    config.attention_biases = Biases::qkv;
    qwen_window(json, config.spec, from_border_on);
}

void head_norms(HfConfig& config) {
    config.spec.qk_norm = QkNorm::per_head;
    config.names.q_norm = "self_attn.q_norm";
    config.names.k_norm = "self_attn.k_norm";
}

void qwen3(JsonReader& json, HfConfig& config) {
    biases_if_said(json, config);
    head_norms(config);
    qwen_window(json, config.spec, from_border_on);
}

void qwen_experts(JsonReader& json, HfConfig& config) {
    MoeSpec& moe = config.spec.moe.emplace();
    json.read("num_local_experts", moe.num_experts);
    if (moe.num_experts == 0) json.require("num_experts", moe.num_experts);
    json.require("num_experts_per_tok", moe.experts_per_token);
    json.require("moe_intermediate_size", moe.intermediate_size);
    moe.normalize = switched_on(json, "norm_topk_prob");
    std::uint32_t step = 1;
    std::vector<std::uint32_t> dense;
    json.read("decoder_sparse_step", step);
    json.read("mlp_only_layers", dense);
    if (step == 0) return json.fail("\"decoder_sparse_step\" must be at least 1.");
    for (std::uint32_t i = 0; i < config.spec.layers.size(); ++i)
        config.spec.layers[i].moe =
            (i + 1) % step == 0 && std::find(dense.begin(), dense.end(), i) == dense.end();
    TensorNames& names = config.names;
    names.router = "mlp.gate";
    names.experts = "mlp.experts";
    names.expert_gate = "gate_proj";
    names.expert_up = "up_proj";
    names.expert_down = "down_proj";
    names.fused_gate_up = "mlp.experts.gate_up_proj";
    names.fused_down = "mlp.experts.down_proj";
}

void qwen2_moe(JsonReader& json, HfConfig& config) {
    bool bias = true;
    json.read("qkv_bias", bias);
    config.attention_biases = bias ? Biases::qkv : Biases::none;
    qwen_window(json, config.spec, every_other_below);
    qwen_experts(json, config);
    if (!config.spec.moe) return;
    json.require("shared_expert_intermediate_size", config.spec.moe->shared_intermediate_size);
    config.spec.moe->shared_gate = true;
    TensorNames& names = config.names;
    names.shared_gate_proj = "mlp.shared_expert.gate_proj";
    names.shared_up = "mlp.shared_expert.up_proj";
    names.shared_down = "mlp.shared_expert.down_proj";
    names.shared_gate = "mlp.shared_expert_gate";
}

void qwen3_moe(JsonReader& json, HfConfig& config) {
    biases_if_said(json, config);
    head_norms(config);
    if (switched_on(json, "use_sliding_window")) window_everywhere(json, config.spec, 4096);
    qwen_experts(json, config);
}

void gemma(JsonReader& json, HfConfig& config, std::size_t pattern) {
    ModelSpec& spec = config.spec;
    if (switched_on(json, "attention_bias")) config.attention_biases = Biases::qkvo;
    spec.norm_offset = 1.0F;
    spec.norms = NormPlacement::pre_and_post;
    config.names.attn_post_norm = "post_attention_layernorm";
    config.names.ffn_norm = "pre_feedforward_layernorm";
    config.names.ffn_post_norm = "post_feedforward_layernorm";
    spec.embedding_multiplier = std::sqrt(static_cast<float>(spec.hidden_size));
    double scalar = 256.0;
    json.read("query_pre_attn_scalar", scalar);
    if (!(scalar > 0.0)) return json.fail("\"query_pre_attn_scalar\" must be above 0.");
    spec.attention_scale = static_cast<float>(1.0 / std::sqrt(scalar));
    json.read("attn_logit_softcapping", spec.attention_softcap);
    json.read("final_logit_softcapping", spec.logits_softcap);
    if (switched_on(json, "use_bidirectional_attention"))
        json.fail("\"use_bidirectional_attention\" is not supported.");
    window_by_type(json, spec, window_or(json, 4096), [&](std::size_t i) { return (i + 1) % pattern != 0; });
}

void gemma2(JsonReader& json, HfConfig& config) { gemma(json, config, 2); }

void gemma3(JsonReader& json, HfConfig& config) {
    config.spec.ropes.resize(2);
    config.spec.ropes[1] = RopeSpec();  // 10000, whatever the full layers have
    std::uint32_t pattern = 6;
    json.read("sliding_window_pattern", pattern);
    if (pattern == 0) return json.fail("\"sliding_window_pattern\" must be at least 1.");
    gemma(json, config, pattern);
    head_norms(config);
}

void phi3(JsonReader& json, HfConfig& config) {
    window_everywhere(json, config.spec);
    config.names.qkv = "self_attn.qkv_proj";
    config.names.gate_up = "mlp.gate_up_proj";
}

void gpt_oss(JsonReader& json, HfConfig& config) {
    ModelSpec& spec = config.spec;
    bool bias = true;
    json.read("attention_bias", bias);
    config.attention_biases = bias ? Biases::qkvo : Biases::none;
    config.sinks = true;
    config.names.sinks = "self_attn.sinks";
    window_by_type(json, spec, window_or(json, 128), [](std::size_t i) { return i % 2 == 0; });
    MoeSpec& moe = spec.moe.emplace();
    json.require("num_local_experts", moe.num_experts);
    moe.experts_per_token = 4;
    json.read("experts_per_token", moe.experts_per_token);
    json.read("num_experts_per_tok", moe.experts_per_token);
    moe.intermediate_size = spec.intermediate_size;
    moe.routing = MoeSpec::Routing::top_k_then_softmax;
    moe.activation = MoeSpec::Activation::clamped_swiglu;
    json.read("swiglu_alpha", moe.alpha);
    json.read("swiglu_limit", moe.limit);
    for (LayerSpec& layer : spec.layers) layer.moe = true;
    config.expert_biases = true;
    config.expert_layout = ExpertLayout::interleaved;
    config.names.router = "mlp.router";
    config.names.fused_gate_up = "mlp.experts.gate_up_proj";
    config.names.fused_down = "mlp.experts.down_proj";
    if (!json.find("rope_parameters") && !json.find("rope_scaling"))
        json.fail("\"rope_scaling\" is missing.");
}

void olmo2(JsonReader& json, HfConfig& config) {
    biases_if_said(json, config);
    config.spec.norms = NormPlacement::post;
    config.spec.qk_norm = QkNorm::whole;
    config.names.q_norm = "self_attn.q_norm";
    config.names.k_norm = "self_attn.k_norm";
    config.names.attn_post_norm = "post_attention_layernorm";
    config.names.ffn_post_norm = "post_feedforward_layernorm";
}

void granite(JsonReader& json, HfConfig& config) {
    biases_if_said(json, config);
    ModelSpec& spec = config.spec;
    spec.attention_scale = 1.0F;
    json.read("attention_multiplier", spec.attention_scale);
    json.read("embedding_multiplier", spec.embedding_multiplier);
    json.read("residual_multiplier", spec.residual_multiplier);
    double divisor = 1.0;
    json.read("logits_scaling", divisor);
    if (!(std::abs(divisor) > 0.0)) return json.fail("\"logits_scaling\" must not be 0.");
    if (!(spec.attention_scale > 0.0F)) return json.fail("\"attention_multiplier\" must be above 0.");
    spec.logits_multiplier = static_cast<float>(1.0 / divisor);
}

void smollm3(JsonReader& json, HfConfig& config) {
    biases_if_said(json, config);
    ModelSpec& spec = config.spec;
    std::vector<std::uint32_t> rotates;  // 1: the layer has rotary embedding
    json.read("no_rope_layers", rotates);
    std::uint32_t interval = 4;
    json.read("no_rope_layer_interval", interval);
    if (rotates.empty() && interval == 0) return json.fail("\"no_rope_layer_interval\" must be at least 1.");
    if (!rotates.empty() && rotates.size() < spec.layers.size())
        return json.fail("\"no_rope_layers\" must have an entry for each layer.");
    for (std::size_t i = 0; i < spec.layers.size(); ++i) {
        const bool rope = rotates.empty() ? (i + 1) % interval != 0 : rotates[i] != 0;
        if (!rope) spec.layers[i].rope = LayerSpec::no_rope;
    }
    if (!switched_on(json, "use_sliding_window")) return;
    window_by_type(json, spec, window_or(json, 0),
                   [&](std::size_t i) { return spec.layers[i].rope == LayerSpec::no_rope; });
}

constexpr HfFamily families[] = {
    // model_type, rope_theta, rms_norm_eps, max_position, tied, head_dim
    {"llama", 1e4, 1e-6, 2048, false, 0, "hidden_act", llama},
    {"mistral", 1e4, 1e-6, 131072, false, 0, "hidden_act", mistral},
    {"mixtral", 1e6, 1e-5, 131072, false, 0, "hidden_act", mixtral},
    {"qwen2", 1e4, 1e-6, 32768, false, 0, "hidden_act", qwen2},
    {"qwen2_moe", 1e4, 1e-6, 32768, false, 0, "hidden_act", qwen2_moe},
    {"qwen3", 1e4, 1e-6, 32768, false, 128, "hidden_act", qwen3},
    {"qwen3_moe", 1e4, 1e-6, 32768, false, 0, "hidden_act", qwen3_moe},
    {"gemma2", 1e4, 1e-6, 8192, true, 256, "hidden_activation", gemma2},
    {"gemma3_text", 1e6, 1e-6, 131072, true, 256, "hidden_activation", gemma3},
    {"phi3", 1e4, 1e-5, 4096, false, 0, "hidden_act", phi3},
    {"gpt_oss", 150000.0, 1e-5, 131072, false, 64, "hidden_act", gpt_oss},
    {"olmo2", 1e4, 1e-5, 2048, false, 0, "hidden_act", olmo2},
    {"granite", 1e4, 1e-6, 2048, false, 0, "hidden_act", granite},
    {"smollm3", 2e6, 1e-6, 32768, true, 0, "hidden_act", smollm3},
};

}  // namespace

const HfFamily* find_hf_family(std::string_view model_type) {
    for (const HfFamily& family : families)
        if (family.model_type == model_type) return &family;
    return nullptr;
}

std::string known_hf_families() {
    std::string text;
    for (const HfFamily& family : families) text += std::string(family.model_type) + ", ";
    return text + "and the text of gemma3";
}

}  // namespace troupe
