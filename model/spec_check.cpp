#include "model/spec_check.hpp"

#include <cmath>

namespace troupe {
namespace {

bool within(double value, double least, double most) {  // NaN is not
    return value >= least && value <= most;
}

struct Size {
    const char* name;
    std::uint32_t value, most;
};

class SpecCheck {
  public:
    SpecCheck(const ModelSpec& spec, const std::string& where) : spec_(spec), where_(where) {}

    Status check() {
        check_sizes();
        check_heads();
        check_numbers();
        check_layers();
        for (const RopeSpec& rope : spec_.ropes) check_rope(rope);
        if (spec_.moe) check_moe(*spec_.moe);
        return status_;
    }

  private:
    void fail(const std::string& what) {
        if (status_) status_ = invalid_argument(where_ + ": " + what, "model");
    }

    void check_size(const Size& size) {
        if (size.value == 0 || size.value > size.most) {
            fail(std::string(size.name) + " is " + std::to_string(size.value) + "; allowed are 1 to " +
                 std::to_string(size.most) + ".");
        }
    }

    void check_sizes() {  // low enough that no product of two of them overflows
        check_size({"the number of layers", spec_.num_layers, max_layers});
        check_size({"the hidden size", spec_.hidden_size, 1U << 20});
        check_size({"the number of attention heads", spec_.num_heads, 1U << 12});
        check_size({"the number of key-value heads", spec_.num_kv_heads, 1U << 12});
        check_size({"the head dimension", spec_.head_dim, 1U << 10});
        check_size({"the feed-forward size", spec_.intermediate_size, 1U << 22});
        check_size({"the vocabulary size", spec_.vocab_size, 1U << 24});
        check_size({"the context length", spec_.max_position, 1U << 27});
    }

    void check_heads() {
        if (!status_) return;
        if (spec_.num_heads % spec_.num_kv_heads != 0) {
            fail(std::to_string(spec_.num_heads) + " attention heads are no multiple of " +
                 std::to_string(spec_.num_kv_heads) + " key-value heads.");
        }
        if (spec_.head_dim % 2 != 0)
            fail("the head dimension " + std::to_string(spec_.head_dim) + " is odd.");
    }

    void check_numbers() {
        struct Number {
            const char* name;
            double value, least, most;
        };
        for (const Number& number : {Number{"the epsilon of the RMS norm", spec_.rms_norm_eps, 0.0, 1.0},
                                     {"the scale of attention scores", spec_.attention_scale, 0.0, 1e6},
                                     {"the soft cap of attention scores", spec_.attention_softcap, 0.0, 1e6},
                                     {"the soft cap of logits", spec_.logits_softcap, 0.0, 1e6},
                                     {"the multiplier of embeddings", spec_.embedding_multiplier, -1e6, 1e6},
                                     {"the multiplier of residuals", spec_.residual_multiplier, -1e6, 1e6},
                                     {"the multiplier of logits", spec_.logits_multiplier, -1e6, 1e6}}) {
            if (within(number.value, number.least, number.most)) continue;
            fail(std::string(number.name) + " is not within " + short_text(number.least) + " and " +
                 short_text(number.most) + ".");
        }
    }
    static std::string short_text(double value) { return std::to_string(static_cast<long>(value)); }

    void check_layers() {
        if (!status_) return;
        if (spec_.layers.size() != spec_.num_layers) fail("not every layer is described.");
        for (const LayerSpec& layer : spec_.layers) {
            if (layer.rope != LayerSpec::no_rope && layer.rope >= spec_.ropes.size())
                fail("a layer has no rotary frequencies.");
            if (layer.moe && !spec_.moe) fail("a layer has experts that nothing describes.");
        }
    }

    void check_rope(const RopeSpec& rope) {
        if (!within(rope.theta, 1e-3, 1e15))
            fail("the base of the rotary frequencies is not within 1e-3 and 1e15.");
        if (!within(rope.factor, 1e-6, 1e6)) fail("the rope scaling factor is not within 1e-6 and 1e6.");
        if (!within(rope.attention_factor, 1e-3, 1e3))
            fail("the attention factor of the rope scaling is not within 1e-3 and 1e3.");
        if (rope.rotated > spec_.head_dim || rope.rotated % 2 != 0) {
            fail("of a head's " + std::to_string(spec_.head_dim) + " dimensions " +
                 std::to_string(rope.rotated) + " should be rotated; it must be an even number of them.");
        }
        const bool needs_original = rope.type != RopeType::standard && rope.type != RopeType::linear;
        if (needs_original && rope.original_max_position == 0)
            fail("the rope scaling needs original_max_position_embeddings.");
        if (rope.type == RopeType::llama3 &&
            (!within(rope.low_freq_factor, 1e-6, 1e6) || !within(rope.high_freq_factor, 1e-6, 1e6) ||
             rope.low_freq_factor >= rope.high_freq_factor)) {
            fail("llama3 rope scaling needs 0 < low_freq_factor < high_freq_factor.");
        }
        if (rope.type == RopeType::yarn &&
            (!within(rope.beta_slow, 1e-6, 1e6) || !within(rope.beta_fast, 1e-6, 1e6) || rope.theta <= 1.0)) {
            fail("yarn rope scaling needs a base above 1, beta_fast and beta_slow above 0.");
        }
        if (rope.type == RopeType::longrope && (rope.divisors.empty() || rope.long_divisors.empty()))
            fail("longrope scaling needs short and long factors.");
        check_divisors(rope, rope.divisors);
        check_divisors(rope, rope.long_divisors);
    }

    void check_divisors(const RopeSpec& rope, const std::vector<float>& divisors) {
        const std::uint32_t rotated = rope.rotated == 0 ? spec_.head_dim : rope.rotated;
        if (!divisors.empty() && divisors.size() != rotated / 2) {
            fail("there are " + std::to_string(divisors.size()) + " factors of rotary frequencies, not " +
                 std::to_string(rotated / 2) + ".");
        }
        for (const float divisor : divisors) {
            if (!(divisor > 0.0F) || !std::isfinite(divisor))
                fail("a factor of the rotary frequencies is no divisor.");
        }
    }

    void check_moe(const MoeSpec& moe) {
        check_size({"the number of experts", moe.num_experts, 1U << 12});
        check_size({"the number of experts per token", moe.experts_per_token, moe.num_experts});
        check_size({"the feed-forward size of experts", moe.intermediate_size, 1U << 20});
        if (moe.shared_intermediate_size > 1U << 20)
            fail("the shared expert's feed-forward size is too large.");
    }

    const ModelSpec& spec_;
    const std::string& where_;
    Status status_;
};

}  // namespace

Status check_spec(const ModelSpec& spec, const std::string& where) { return SpecCheck(spec, where).check(); }

Status check_generation(const GenerationDefaults& defaults, const ModelSpec& spec, const std::string& where) {
    const auto fail = [&](const std::string& what) { return invalid_argument(where + ": " + what, "model"); };
    for (const TokenId id : defaults.end_token_ids) {
        if (id < 0 || static_cast<std::uint32_t>(id) >= spec.vocab_size) {
            return fail("end token " + std::to_string(id) + " is outside of the vocabulary.");
        }
    }
    if (!within(defaults.temperature, 0.0, 1e6)) return fail("temperature must be at least 0.");
    if (!(defaults.top_p > 0.0F && defaults.top_p <= 1.0F))
        return fail("top_p must be above 0 and at most 1.");
    if (!within(defaults.min_p, 0.0, 1.0)) return fail("min_p must be within 0 and 1.");
    if (defaults.top_k < 0) return fail("top_k must be at least 0.");
    if (!(defaults.typical_p > 0.0F && defaults.typical_p <= 1.0F))
        return fail("typical_p must be above 0 and at most 1.");
    if (!within(defaults.repetition_penalty, 0.01, 100.0))
        return fail("repetition_penalty must be within 0.01 and 100.");
    return {};
}

}  // namespace troupe
