#include "model/weights_builder.hpp"

#include "model/expert_tensors.hpp"
#include "model/tensor_taker.hpp"

namespace troupe {
namespace {

class Builder {
  public:
    Builder(const ModelSpec& spec, const WeightsRequest& request)
        : spec_(spec), request_(request), names_(request.names), taker_(request) {}

    Result<Weights> build() {
        const std::uint32_t hidden = spec_.hidden_size;
        Weights weights;
        weights.embedding = taker_.matrix(names_.embedding, {spec_.vocab_size, hidden});
        weights.final_norm = taker_.vector(names_.final_norm, hidden);
        const bool own_head =
            request_.head == WeightsRequest::Head::own ||
            (request_.head == WeightsRequest::Head::own_if_present && taker_.has(names_.lm_head));
        weights.lm_head =
            own_head ? taker_.matrix(names_.lm_head, {spec_.vocab_size, hidden}) : weights.embedding;
        for (std::uint32_t layer = 0; layer < spec_.num_layers && taker_.status(); ++layer) {
            build_layer(weights.layers.emplace_back(), spec_.layers[layer],
                        names_.layer_prefix + std::to_string(layer) + ".");
        }
        taker_.refuse_what_is_left(spec_.architecture);
        if (!taker_.status()) return taker_.status().error();
        weights.content_hash = taker_.content_hash();
        weights.storage = taker_.storage();
        return weights;
    }

  private:
    void build_layer(LayerWeights& layer, const LayerSpec& kind, const std::string& prefix) {
        const bool pre = spec_.norms != NormPlacement::post;
        const bool post = spec_.norms != NormPlacement::pre;
        if (pre) layer.attn_norm = norm(prefix, names_.attn_norm, spec_.hidden_size);
        build_attention(layer, prefix);
        if (post) layer.attn_post_norm = norm(prefix, names_.attn_post_norm, spec_.hidden_size);
        if (pre) layer.ffn_norm = norm(prefix, names_.ffn_norm, spec_.hidden_size);
        if (kind.moe) {
            take_moe(taker_, request_, spec_, prefix, layer);
        } else {
            build_feed_forward(layer, prefix);
        }
        if (post) layer.ffn_post_norm = norm(prefix, names_.ffn_post_norm, spec_.hidden_size);
    }

    void build_attention(LayerWeights& layer, const std::string& prefix) {
        const std::uint32_t hidden = spec_.hidden_size;
        const std::uint32_t q = spec_.num_heads * spec_.head_dim;
        const std::uint32_t kv = spec_.num_kv_heads * spec_.head_dim;
        const std::string fused = names_.qkv ? prefix + names_.qkv : "";
        if (names_.qkv && taker_.has(fused + ".weight")) {
            const Tensor all = taker_.matrix(fused + ".weight", {q + 2 * kv, hidden});
            layer.q = rows_of(all, 0, q);
            layer.k = rows_of(all, q, kv);
            layer.v = rows_of(all, q + kv, kv);
            if (request_.attention_biases == WeightsRequest::Biases::if_present &&
                taker_.has(fused + ".bias")) {
                const Tensor bias = taker_.vector(fused + ".bias", q + 2 * kv);
                layer.q_bias = part_of(bias, 0, q);
                layer.k_bias = part_of(bias, q, kv);
                layer.v_bias = part_of(bias, q + kv, kv);
            }
        } else {
            layer.q = taker_.matrix(prefix + names_.q + ".weight", {q, hidden});
            layer.k = taker_.matrix(prefix + names_.k + ".weight", {kv, hidden});
            layer.v = taker_.matrix(prefix + names_.v + ".weight", {kv, hidden});
            layer.q_bias = attention_bias(prefix + names_.q, q);
            layer.k_bias = attention_bias(prefix + names_.k, kv);
            layer.v_bias = attention_bias(prefix + names_.v, kv);
        }
        layer.o = taker_.matrix(prefix + names_.o + ".weight", {hidden, q});
        if (request_.attention_biases != WeightsRequest::Biases::qkv)
            layer.o_bias = attention_bias(prefix + names_.o, hidden);
        if (spec_.qk_norm != QkNorm::none) {
            const bool whole = spec_.qk_norm == QkNorm::whole;
            layer.q_norm = norm(prefix, names_.q_norm, whole ? q : spec_.head_dim);
            layer.k_norm = norm(prefix, names_.k_norm, whole ? kv : spec_.head_dim);
        }
        if (request_.sinks) layer.sinks = taker_.vector(prefix + names_.sinks, spec_.num_heads);
    }

    void build_feed_forward(LayerWeights& layer, const std::string& prefix) {
        const std::uint32_t hidden = spec_.hidden_size;
        const std::uint32_t inner = spec_.intermediate_size;
        if (names_.gate_up) {
            const Tensor both = taker_.matrix(prefix + names_.gate_up + ".weight", {2 * inner, hidden});
            layer.gate = rows_of(both, 0, inner);
            layer.up = rows_of(both, inner, inner);
        } else {
            layer.gate = taker_.matrix(prefix + names_.gate + ".weight", {inner, hidden});
            layer.up = taker_.matrix(prefix + names_.up + ".weight", {inner, hidden});
            layer.gate_bias = ffn_bias(prefix + names_.gate, inner);
            layer.up_bias = ffn_bias(prefix + names_.up, inner);
        }
        layer.down = taker_.matrix(prefix + names_.down + ".weight", {hidden, inner});
        layer.down_bias = ffn_bias(prefix + names_.down, hidden);
    }

    Tensor norm(const std::string& prefix, const char* name, std::uint32_t size) {
        return taker_.vector(prefix + name + ".weight", size);
    }
    Tensor attention_bias(const std::string& name, std::uint32_t size) {
        using Biases = WeightsRequest::Biases;
        return bias(name, size, request_.attention_biases != Biases::none,
                    request_.attention_biases == Biases::if_present);
    }
    Tensor ffn_bias(const std::string& name, std::uint32_t size) {
        using Biases = WeightsRequest::FfnBiases;
        return bias(name, size, request_.ffn_biases != Biases::none,
                    request_.ffn_biases == Biases::if_present);
    }
    Tensor bias(const std::string& name, std::uint32_t size, bool wanted, bool optional) {
        if (!wanted || (optional && !taker_.has(name + ".bias"))) return {};
        return taker_.vector(name + ".bias", size);
    }
    static Tensor part_of(const Tensor& vector, std::uint32_t first, std::uint32_t count) {
        if (!vector) return {};
        return {vector.dtype, 1, count, vector.data + row_bytes(vector.dtype, first)};
    }

    const ModelSpec& spec_;
    const WeightsRequest& request_;
    const TensorNames& names_;
    TensorTaker taker_;
};

}  // namespace

Result<Weights> build_weights(const ModelSpec& spec, const WeightsRequest& request) {
    return Builder(spec, request).build();
}

}  // namespace troupe
