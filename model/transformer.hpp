// The forward pass of a decoder, written once against what a backend can do (the Ops concept). All T tokens
// of a step go through each operation together; the batch is ragged (core/forward_batch.hpp).
#pragma once
#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

#include "core/forward_batch.hpp"
#include "model/model_spec.hpp"

namespace troupe {

// Weights as a backend prepared them. Linear: a matrix [outputs][inputs] with its bias, if any.
// Moe: router, experts and shared expert. What the spec does not call for is empty.
template <class Linear, class Vector, class Moe>
struct LayerParameters {
    Vector attn_norm;
    Linear q, k, v, o;
    Vector q_norm, k_norm;
    Vector sinks;
    Vector attn_post_norm;
    Vector ffn_norm;
    Linear gate, up, down;
    Moe moe;
    Vector ffn_post_norm;
};

template <class Embedding, class Linear, class Vector, class Moe>
struct ModelParameters {
    Embedding embedding;
    std::vector<LayerParameters<Linear, Vector, Moe>> layers;
    Vector final_norm;
    Linear lm_head;
};

// The step's activations, by what they hold. A backend keeps the memory of each from step to step.
enum class Slot : std::uint8_t { hidden, normed, q, k, v, attended, delta, gate, up, logits, count };

template <class Rows, class Linear>
struct LinearOutput {
    const Linear* linear;
    Rows out;  // [rows of the input][outputs]
};

// Rows is a cheap handle of float32 activations [rows][columns]. Operations take effect in order.
template <class O>
concept Ops = requires(O& ops, typename O::Rows rows, const typename O::Embedding& embedding,
                       const typename O::Linear& linear, const typename O::Vector& vector,
                       const typename O::Moe& moe, const ForwardBatch& batch, std::uint32_t layer,
                       std::size_t n, float number) {
    // Memory for n rows of the slot, with undefined contents. Valid until the slot is asked for again.
    { ops.rows(Slot::hidden, n, n) } -> std::same_as<typename O::Rows>;
    // out[t] = embedding of ids[t]
    ops.embed(embedding, std::span<const TokenId>(), rows);
    // x *= number
    ops.scale(rows, number);
    // x = cap * tanh(x / cap)
    ops.soft_cap(rows, number);
    // out = rms_norm(x) * weight; out may be x
    ops.rms_norm(rows, vector, rows);
    // Each of the n equal parts of a row: x = rms_norm(x) * weight
    ops.rms_norm_parts(rows, vector, n);
    // x += delta * number
    ops.add(rows, rows, number);
    // x += delta * number, then out = rms_norm(x) * weight
    ops.add_rms_norm(rows, rows, number, vector, rows);
    // Each out = x W^T + bias: matrices that share their input
    ops.linear(rows, std::initializer_list<LinearOutput<typename O::Rows, typename O::Linear>>());
    // Rotates q [T][heads * head_dim] and k [T][kv_heads * head_dim] by their positions, as the layer does
    ops.rope(layer, batch, rows, rows);
    // Stores k and v of the T tokens in the layer's paged cache, at slot_mapping
    ops.store_kv(layer, batch, rows, rows);
    // out[t] = causal attention of q[t] to its own sequence in the layer's cache
    ops.attention(layer, batch, rows, rows);
    // gate = activation(gate) * up
    ops.activate_multiply(Activation::silu, rows, rows);
    // out = the weighted sum of the experts that each row is sent to, and of the shared one
    ops.moe(moe, rows, rows);
    // Keeps the rows named, ascending, in place
    { ops.keep_rows(rows, std::span<const std::int32_t>()) } -> std::same_as<typename O::Rows>;
    // n rows from the n-th on, the same memory
    { ops.slice(rows, n, n) } -> std::same_as<typename O::Rows>;
};

// One step's pass through the model. The hidden state is what the layers add to; `delta` is what attention or
// feed-forward made last, which joins it together with the next norm.
template <Ops O>
class Forward {
    using Rows = typename O::Rows;
    using Vector = typename O::Vector;
    using Parameters =
        ModelParameters<typename O::Embedding, typename O::Linear, typename O::Vector, typename O::Moe>;
    using Layer = LayerParameters<typename O::Linear, typename O::Vector, typename O::Moe>;

  public:
    Forward(const ModelSpec& spec, const Parameters& model, const ForwardBatch& batch, O& ops)
        : spec_(spec), model_(model), batch_(batch), ops_(ops) {}

    // Hands over the logits of the batch's logits_rows in pieces, in order: take(first, logits) gets those
    // [n][vocab] of rows [first, first + n), n <= max_rows, valid during the call.
    template <class Take>
    void run(std::size_t max_rows, Take take) {
        const std::size_t tokens = batch_.input_ids.size();
        const std::size_t wanted = batch_.logits_rows.size();
        hidden_ = ops_.rows(Slot::hidden, tokens, spec_.hidden_size);
        attended_ = ops_.rows(Slot::attended, tokens, q_columns());
        take_rows(tokens);

        ops_.embed(model_.embedding, batch_.input_ids, hidden_);
        if (spec_.embedding_multiplier != 1.0F) ops_.scale(hidden_, spec_.embedding_multiplier);
        for (std::uint32_t index = 0; index < model_.layers.size(); ++index) {
            const Layer& layer = model_.layers[index];
            if (index > 0) {
                join(layer.attn_norm);
            } else if (spec_.norms != NormPlacement::post) {
                ops_.rms_norm(hidden_, layer.attn_norm, normed_);
            }
            const bool last = index + 1 == model_.layers.size();
            attention(index, layer, last && wanted == 0);
            if (last) {  // from here on only the rows that give logits matter
                if (wanted == 0) return;
                hidden_ = ops_.keep_rows(hidden_, batch_.logits_rows);
                attended_ = ops_.keep_rows(attended_, batch_.logits_rows);
                take_rows(wanted);
            }
            ops_.linear(attended_, {{&layer.o, delta_}});
            if (spec_.norms != NormPlacement::pre) ops_.rms_norm(delta_, layer.attn_post_norm, delta_);
            join(layer.ffn_norm);
            feed_forward(index, layer);
            if (spec_.norms != NormPlacement::pre) ops_.rms_norm(delta_, layer.ffn_post_norm, delta_);
        }
        ops_.add_rms_norm(hidden_, delta_, spec_.residual_multiplier, model_.final_norm, normed_);
        for (std::size_t first = 0; first < wanted; first += max_rows)
            take(first, logits(first, std::min(max_rows, wanted - first)));
    }

  private:
    std::size_t q_columns() const { return std::size_t{spec_.num_heads} * spec_.head_dim; }
    std::size_t kv_columns() const { return std::size_t{spec_.num_kv_heads} * spec_.head_dim; }

    void take_rows(std::size_t count) {
        normed_ = ops_.rows(Slot::normed, count, spec_.hidden_size);
        delta_ = ops_.rows(Slot::delta, count, spec_.hidden_size);
        gate_ = ops_.rows(Slot::gate, count, spec_.intermediate_size);
        up_ = ops_.rows(Slot::up, count, spec_.intermediate_size);
    }

    Rows logits(std::size_t first, std::size_t count) {
        const Rows made = ops_.rows(Slot::logits, count, spec_.vocab_size);
        ops_.linear(ops_.slice(normed_, first, count), {{&model_.lm_head, made}});
        if (spec_.logits_multiplier != 1.0F) ops_.scale(made, spec_.logits_multiplier);
        if (spec_.logits_softcap != 0.0F) ops_.soft_cap(made, spec_.logits_softcap);
        return made;
    }

    // What attention and feed-forward read.
    Rows input() const { return spec_.norms == NormPlacement::post ? hidden_ : normed_; }

    void join(const Vector& norm) {
        if (spec_.norms == NormPlacement::post) {
            ops_.add(hidden_, delta_, spec_.residual_multiplier);
        } else {
            ops_.add_rms_norm(hidden_, delta_, spec_.residual_multiplier, norm, normed_);
        }
    }

    void attention(std::uint32_t index, const Layer& layer, bool only_store) {
        const std::size_t tokens = batch_.input_ids.size();
        const Rows q = ops_.rows(Slot::q, tokens, q_columns());
        const Rows k = ops_.rows(Slot::k, tokens, kv_columns());
        const Rows v = ops_.rows(Slot::v, tokens, kv_columns());
        ops_.linear(input(), {{&layer.q, q}, {&layer.k, k}, {&layer.v, v}});
        if (spec_.qk_norm != QkNorm::none) {
            const bool per_head = spec_.qk_norm == QkNorm::per_head;
            ops_.rms_norm_parts(q, layer.q_norm, per_head ? spec_.num_heads : 1);
            ops_.rms_norm_parts(k, layer.k_norm, per_head ? spec_.num_kv_heads : 1);
        }
        if (spec_.layers[index].rope != LayerSpec::no_rope) ops_.rope(index, batch_, q, k);
        ops_.store_kv(index, batch_, k, v);
        if (!only_store) ops_.attention(index, batch_, q, attended_);
    }

    void feed_forward(std::uint32_t index, const Layer& layer) {
        if (spec_.layers[index].moe) return ops_.moe(layer.moe, input(), delta_);
        ops_.linear(input(), {{&layer.gate, gate_}, {&layer.up, up_}});
        ops_.activate_multiply(spec_.activation, gate_, up_);
        ops_.linear(gate_, {{&layer.down, delta_}});
    }

    const ModelSpec& spec_;
    const Parameters& model_;
    const ForwardBatch& batch_;
    O& ops_;
    Rows hidden_, normed_, delta_, attended_, gate_, up_;
};

}  // namespace troupe
