#include "model/convert/spec_metadata.hpp"

#include <algorithm>
#include <cmath>

#include "model/gguf_spec.hpp"

namespace troupe {
namespace {

class SpecWriter {
  public:
    SpecWriter(GgufHead& head, const ModelSpec& spec)
        : head_(head), spec_(spec), prefix_(spec.architecture + ".") {}

    void write() {
        head_.set("general.architecture", spec_.architecture);
        write_sizes();
        write_rope(spec_.ropes[0]);
        if (spec_.ropes.size() > 1) number("rope.freq_base_swa", spec_.ropes[1].theta);
        write_windows();
        if (spec_.moe && spec_.has_moe_layers()) write_experts(*spec_.moe);
        write_multipliers();
    }

  private:
    void size(const char* key, std::uint32_t value) { head_.set(prefix_ + key, value); }
    void number(const char* key, double value) { head_.set(prefix_ + key, static_cast<float>(value)); }

    void write_sizes() {
        size("block_count", spec_.num_layers);
        size("context_length", spec_.max_position);
        size("embedding_length", spec_.hidden_size);
        size("feed_forward_length", spec_.intermediate_size);
        size("vocab_size", spec_.vocab_size);
        size("attention.head_count", spec_.num_heads);
        size("attention.head_count_kv", spec_.num_kv_heads);
        size("attention.key_length", spec_.head_dim);
        size("attention.value_length", spec_.head_dim);
        number("attention.layer_norm_rms_epsilon", spec_.rms_norm_eps);
    }

    void write_rope(const RopeSpec& rope) {
        size("rope.dimension_count", rope.rotated == 0 ? spec_.head_dim : rope.rotated);
        number("rope.freq_base", rope.theta);
        if (rope.original_max_position != 0)
            size("rope.scaling.original_context_length", rope.original_max_position);
        if (rope.type == RopeType::longrope) number("rope.scaling.attn_factor", rope.attention_factor);
        if (rope.type == RopeType::linear) scaling("linear", rope);
        if (rope.type != RopeType::yarn) return;
        scaling("yarn", rope);
        const RopeSpec usual;
        if (rope.beta_fast != usual.beta_fast) number("rope.scaling.yarn_beta_fast", rope.beta_fast);
        if (rope.beta_slow != usual.beta_slow) number("rope.scaling.yarn_beta_slow", rope.beta_slow);
        const double factor =
            rope.attention_factor / (rope.factor > 1.0 ? 0.1 * std::log(rope.factor) + 1.0 : 1.0);
        if (static_cast<float>(factor) != 1.0F) number("rope.scaling.attn_factor", factor);
    }

    void scaling(const char* type, const RopeSpec& rope) {
        head_.set(prefix_ + "rope.scaling.type", type);
        number("rope.scaling.factor", rope.factor);
    }

    // Which layers slide is said only of Gemma 3, whose files may follow any rule; others follow their own.
    void write_windows() {
        std::uint32_t window = 0;
        std::vector<bool> slides;
        for (const LayerSpec& layer : spec_.layers) {
            window = std::max(window, layer.sliding_window);
            slides.push_back(layer.sliding_window != 0);
        }
        const bool has_rule = spec_.architecture == "gemma2" || spec_.architecture == "gpt-oss";
        if (window == 0 && !has_rule) return;
        size("attention.sliding_window", window);
        if (spec_.architecture == "gemma3") head_.set(prefix_ + "attention.sliding_window_pattern", slides);
    }

    void write_experts(const MoeSpec& moe) {
        size("expert_count", moe.num_experts);
        size("expert_used_count", moe.experts_per_token);
        size("expert_feed_forward_length", moe.intermediate_size);
        if (moe.shared_intermediate_size != 0)
            size("expert_shared_feed_forward_length", moe.shared_intermediate_size);
        head_.set(prefix_ + "expert_weights_norm", moe.normalize);
        const bool late = moe.routing == MoeSpec::Routing::top_k_then_softmax;
        size("expert_gating_func", late ? 3 : 1);
    }

    void write_multipliers() {
        if (spec_.attention_scale != 0.0F) number("attention.scale", spec_.attention_scale);
        if (spec_.architecture.starts_with("gemma")) {
            // Gemma 2's readers have 50 and 30 where nothing is said.
            if (spec_.architecture == "gemma2" || spec_.attention_softcap != 0.0F)
                number("attn_logit_softcapping", spec_.attention_softcap);
            if (spec_.architecture == "gemma2" || spec_.logits_softcap != 0.0F)
                number("final_logit_softcapping", spec_.logits_softcap);
            return;  // the embeddings' multiplier goes by the name
        }
        if (spec_.architecture != "granite") return;
        number("embedding_scale", spec_.embedding_multiplier);
        number("residual_scale", spec_.residual_multiplier);
        number("logit_scale", 1.0 / static_cast<double>(spec_.logits_multiplier));
    }

    GgufHead& head_;
    const ModelSpec& spec_;
    std::string prefix_;
};

// What a rope's type does not read may hold anything.
void clear_unused(ModelSpec& spec) {
    for (RopeSpec& rope : spec.ropes) {
        const RopeSpec usual;
        const bool yarn = rope.type == RopeType::yarn;
        if (!yarn && rope.type != RopeType::linear) rope.factor = usual.factor;
        if (!yarn && rope.type != RopeType::longrope) {
            rope.original_max_position = 0;
            rope.attention_factor = 1.0;
        }
        if (!yarn) {
            rope.beta_fast = usual.beta_fast;
            rope.beta_slow = usual.beta_slow;
            rope.truncate = usual.truncate;
        }
        rope.attention_factor = static_cast<float>(rope.attention_factor);
    }
    if (spec.attention_scale == 1.0F / std::sqrt(static_cast<float>(spec.head_dim)))
        spec.attention_scale = 0.0F;
    if (!spec.has_moe_layers()) spec.moe.reset();
}

const char* first_difference(const ModelSpec& a, const ModelSpec& b) {
    if (a.ropes != b.ropes) return "its rotary embedding";
    if (a.layers != b.layers) return "which layers have a sliding window, rotary embedding or experts";
    if (a.moe != b.moe) return "its mixture of experts";
    if (a.attention_scale != b.attention_scale) return "the scale of its attention";
    if (a.attention_softcap != b.attention_softcap || a.logits_softcap != b.logits_softcap)
        return "its soft caps";
    if (a.embedding_multiplier != b.embedding_multiplier || a.residual_multiplier != b.residual_multiplier ||
        a.logits_multiplier != b.logits_multiplier)
        return "its multipliers";
    return a == b ? nullptr : "its dimensions";
}

}  // namespace

void set_spec(GgufHead& head, const ModelSpec& spec) { SpecWriter(head, spec).write(); }

Status check_spec_was_said(const GgufFile& written, const ModelSpec& spec) {
    auto read = read_gguf_spec(written);
    if (!read) return read.error();
    ModelSpec wanted = spec;
    clear_unused(wanted);
    clear_unused(*read);
    const char* lost = first_difference(wanted, *read);
    if (!lost) return {};
    return invalid_argument(
        "a GGUF file of architecture " + spec.architecture + " cannot say " + lost +
        " as this model has it; serve the directory itself (with --quantize, if it should "
        "be smaller).");
}

}  // namespace troupe
