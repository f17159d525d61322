#include "model/weights_builder.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "model/formats/printable.hpp"

namespace troupe {
namespace {

// FNV-1a, over a sample of each tensor: enough to tell models apart, without reading them.
class ContentHash {
  public:
    void add(const void* bytes, std::size_t count) {
        const auto* at = static_cast<const unsigned char*>(bytes);
        for (std::size_t i = 0; i < count; ++i) hash_ = (hash_ ^ at[i]) * 0x100000001B3U;
    }
    void add_tensor(const std::string& name, const Tensor& tensor) {
        constexpr std::size_t sample = 64;
        constexpr std::size_t samples = 4;
        add(name.data(), name.size());
        const std::uint32_t facts[] = {static_cast<std::uint32_t>(tensor.dtype), tensor.rows, tensor.columns};
        add(facts, sizeof facts);
        const std::size_t bytes = row_bytes(tensor.dtype, tensor.columns) * tensor.rows;
        if (bytes <= sample * samples) return add(tensor.data, bytes);
        for (std::size_t i = 0; i < samples; ++i)
            add(tensor.data + (bytes - sample) / (samples - 1) * i, sample);
    }
    std::uint64_t value() const { return hash_; }

  private:
    std::uint64_t hash_ = 0xCBF29CE484222325U;
};

std::string shape_text(const std::vector<std::uint64_t>& shape) {
    std::string text = "[";
    for (const std::uint64_t size : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
    return text + "]";
}

class Builder {
  public:
    Builder(const ModelSpec& spec, const WeightsRequest& request) : spec_(spec), request_(request) {}

    Result<Weights> build() {
        const TensorNames& names = request_.names;
        const std::uint32_t hidden = spec_.hidden_size;
        Weights weights;
        matrix(weights.embedding, names.embedding, spec_.vocab_size, hidden);
        vector(weights.final_norm, names.final_norm, hidden);
        const bool own_head =
            request_.head == WeightsRequest::Head::own ||
            (request_.head == WeightsRequest::Head::own_if_present && request_.find(names.lm_head));
        if (own_head) {
            matrix(weights.lm_head, names.lm_head, spec_.vocab_size, hidden);
        } else {
            weights.lm_head = weights.embedding;
        }
        for (std::uint32_t layer = 0; layer < spec_.num_layers && status_; ++layer) {
            build_layer(weights.layers.emplace_back(), names.layer_prefix + std::to_string(layer) + ".");
        }
        refuse_what_is_left();
        if (!status_) return status_.error();
        weights.content_hash = hash_.value();
        return weights;
    }

  private:
    void build_layer(LayerWeights& layer, const std::string& prefix) {
        const TensorNames& names = request_.names;
        const std::uint32_t hidden = spec_.hidden_size;
        const std::uint32_t q = spec_.num_heads * spec_.head_dim;
        const std::uint32_t kv = spec_.num_kv_heads * spec_.head_dim;
        vector(layer.attn_norm, prefix + names.attn_norm + ".weight", hidden);
        matrix(layer.q, prefix + names.q + ".weight", q, hidden);
        matrix(layer.k, prefix + names.k + ".weight", kv, hidden);
        matrix(layer.v, prefix + names.v + ".weight", kv, hidden);
        matrix(layer.o, prefix + names.o + ".weight", hidden, q);
        bias(layer.q_bias, prefix + names.q + ".bias", q);
        bias(layer.k_bias, prefix + names.k + ".bias", kv);
        bias(layer.v_bias, prefix + names.v + ".bias", kv);
        bias(layer.o_bias, prefix + names.o + ".bias", hidden);
        vector(layer.ffn_norm, prefix + names.ffn_norm + ".weight", hidden);
        matrix(layer.gate, prefix + names.gate + ".weight", spec_.intermediate_size, hidden);
        matrix(layer.up, prefix + names.up + ".weight", spec_.intermediate_size, hidden);
        matrix(layer.down, prefix + names.down + ".weight", hidden, spec_.intermediate_size);
    }

    void bias(Tensor& into, const std::string& name, std::uint32_t size) {
        if (request_.attention_biases == WeightsRequest::Biases::none) return;
        if (request_.attention_biases == WeightsRequest::Biases::if_present && !request_.find(name)) return;
        vector(into, name, size);
    }
    void vector(Tensor& into, const std::string& name, std::uint32_t size) { take(into, name, {size}); }
    void matrix(Tensor& into, const std::string& name, std::uint32_t rows, std::uint32_t columns) {
        take(into, name, {rows, columns});
    }

    void take(Tensor& into, const std::string& name, const std::vector<std::uint64_t>& shape) {
        if (!status_) return;
        const auto found = request_.find(name);
        if (!found) return fail("has no tensor " + name + ", which a model of this shape needs.");
        if (found->shape != shape) {
            return fail("tensor " + name + " has shape " + shape_text(found->shape) +
                        ", but the model's dimensions call for " + shape_text(shape) + ".");
        }
        if (!found->dtype) {
            return fail("tensor " + name + " has type " + std::string(found->type_name) + "; known are " +
                        dtype_names() + ".");
        }
        into.dtype = *found->dtype;
        into.rows = shape.size() == 1 ? 1 : static_cast<std::uint32_t>(shape[0]);
        into.columns = static_cast<std::uint32_t>(shape.back());
        into.data = found->data;
        hash_.add_tensor(name, into);
        taken_.insert(name);
    }

    void refuse_what_is_left() {
        for (const std::string_view name : request_.all) {
            if (!status_) return;
            if (taken_.count(name) != 0 || request_.leave_out(name)) continue;
            fail("tensor " + printable(name) +
                 " has no place in a llama model of this shape: results without it would be wrong.");
        }
    }

    void fail(const std::string& what) { status_ = invalid_argument(request_.where + ": " + what, "model"); }

    const ModelSpec& spec_;
    const WeightsRequest& request_;
    ContentHash hash_;
    std::set<std::string, std::less<>> taken_;
    Status status_;
};

bool within(double value, double least, double most) {
    return value >= least && value <= most;
}  // NaN is not

template <class Fail>
Status check_rope(const RopeSpec& rope, Fail fail) {
    if (!within(rope.theta, 1e-3, 1e15))
        return fail("the base of the rotary frequencies is not within 1e-3 and 1e15.");
    if (!within(rope.factor, 1e-6, 1e6)) return fail("the rope scaling factor is not within 1e-6 and 1e6.");
    if (rope.type == RopeType::llama3) {
        if (rope.original_max_position == 0)
            return fail("llama3 rope scaling needs original_max_position_embeddings.");
        if (!within(rope.low_freq_factor, 1e-6, 1e6) || !within(rope.high_freq_factor, 1e-6, 1e6) ||
            rope.low_freq_factor >= rope.high_freq_factor) {
            return fail("llama3 rope scaling needs 0 < low_freq_factor < high_freq_factor.");
        }
    }
    return {};
}

}  // namespace

Status check_spec(const ModelSpec& spec, const std::string& where) {
    const auto fail = [&](const std::string& what) { return invalid_argument(where + ": " + what, "model"); };
    struct Size {
        const char* name;
        std::uint32_t value, most;
    };
    // Far above any model there is, and low enough that no product of two of them overflows.
    const Size sizes[] = {{"the number of layers", spec.num_layers, max_layers},
                          {"the hidden size", spec.hidden_size, 1U << 20},
                          {"the number of attention heads", spec.num_heads, 1U << 12},
                          {"the number of key-value heads", spec.num_kv_heads, 1U << 12},
                          {"the head dimension", spec.head_dim, 1U << 10},
                          {"the feed-forward size", spec.intermediate_size, 1U << 22},
                          {"the vocabulary size", spec.vocab_size, 1U << 24},
                          {"the context length", spec.max_position, 1U << 27}};
    for (const Size& size : sizes) {
        if (size.value == 0 || size.value > size.most) {
            return fail(std::string(size.name) + " is " + std::to_string(size.value) + "; allowed are 1 to " +
                        std::to_string(size.most) + ".");
        }
    }
    if (spec.num_heads % spec.num_kv_heads != 0) {
        return fail(std::to_string(spec.num_heads) + " attention heads are no multiple of " +
                    std::to_string(spec.num_kv_heads) + " key-value heads.");
    }
    if (spec.head_dim % 2 != 0)
        return fail("the head dimension " + std::to_string(spec.head_dim) + " is odd.");
    if (!within(spec.rms_norm_eps, 0.0, 1.0))
        return fail("the epsilon of the RMS norm is not within 0 and 1.");
    for (const RopeSpec& rope : spec.ropes)
        if (auto status = check_rope(rope, fail); !status) return status;
    return {};
}

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

Result<Weights> build_weights(const ModelSpec& spec, const WeightsRequest& request) {
    return Builder(spec, request).build();
}

}  // namespace troupe
