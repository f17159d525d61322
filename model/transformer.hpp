// The forward pass of a decoder, written once against what a backend can do (the Ops concept). All T tokens
// of a step go through each operation together; the batch is ragged (core/forward_batch.hpp).
#pragma once
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
template <class Linear, class Vector>
struct LayerParameters {
    Vector attn_norm;
    Linear q, k, v, o;
    Vector ffn_norm;
    Linear gate, up, down;
};

template <class Embedding, class Linear, class Vector>
struct ModelParameters {
    Embedding embedding;
    std::vector<LayerParameters<Linear, Vector>> layers;
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
                       const ForwardBatch& batch, std::uint32_t layer, std::size_t n) {
    // Memory for n rows of the slot, with undefined contents. Valid until the slot is asked for again.
    { ops.rows(Slot::hidden, n, n) } -> std::same_as<typename O::Rows>;
    // out[t] = embedding of ids[t]
    ops.embed(embedding, std::span<const TokenId>(), rows);
    // out = rms_norm(x) * weight
    ops.rms_norm(rows, vector, rows);
    // x += delta, then out = rms_norm(x) * weight
    ops.add_rms_norm(rows, rows, vector, rows);
    // Each out = x W^T + bias: matrices that share their input
    ops.linear(rows, std::initializer_list<LinearOutput<typename O::Rows, typename O::Linear>>());
    // Rotates q [T][heads * head_dim] and k [T][kv_heads * head_dim] by their positions
    ops.rope(batch, rows, rows);
    // Stores k and v of the T tokens in the layer's paged cache, at slot_mapping
    ops.store_kv(layer, batch, rows, rows);
    // out[t] = causal attention of q[t] to its own sequence in the layer's cache
    ops.attention(layer, batch, rows, rows);
    // gate = silu(gate) * up
    ops.silu_multiply(rows, rows);
    // Keeps the rows named, ascending, in place
    { ops.keep_rows(rows, std::span<const std::int32_t>()) } -> std::same_as<typename O::Rows>;
};

// Returns the logits [L][vocab] of the batch's logits_rows.
template <Ops O>
typename O::Rows forward(
    const ModelSpec& spec,
    const ModelParameters<typename O::Embedding, typename O::Linear, typename O::Vector>& model,
    const ForwardBatch& batch, O& ops) {
    using Rows = typename O::Rows;
    const std::size_t tokens = batch.input_ids.size();
    const std::size_t wanted = batch.logits_rows.size();
    const std::size_t kv_columns = std::size_t{spec.num_kv_heads} * spec.head_dim;
    const std::size_t q_columns = std::size_t{spec.num_heads} * spec.head_dim;

    Rows hidden = ops.rows(Slot::hidden, tokens, spec.hidden_size);
    Rows normed = ops.rows(Slot::normed, tokens, spec.hidden_size);
    Rows delta = ops.rows(Slot::delta, tokens, spec.hidden_size);
    Rows gate = ops.rows(Slot::gate, tokens, spec.intermediate_size);
    Rows up = ops.rows(Slot::up, tokens, spec.intermediate_size);
    Rows attended = ops.rows(Slot::attended, tokens, q_columns);
    const Rows q = ops.rows(Slot::q, tokens, q_columns);
    const Rows k = ops.rows(Slot::k, tokens, kv_columns);
    const Rows v = ops.rows(Slot::v, tokens, kv_columns);
    const Rows logits = ops.rows(Slot::logits, wanted, spec.vocab_size);

    ops.embed(model.embedding, batch.input_ids, hidden);
    ops.rms_norm(hidden, model.layers.front().attn_norm, normed);
    for (std::uint32_t index = 0; index < model.layers.size(); ++index) {
        const auto& layer = model.layers[index];
        if (index > 0) ops.add_rms_norm(hidden, delta, layer.attn_norm, normed);
        ops.linear(normed, {{&layer.q, q}, {&layer.k, k}, {&layer.v, v}});
        ops.rope(batch, q, k);
        ops.store_kv(index, batch, k, v);
        if (index + 1 == model.layers.size()) {  // from here on only the rows that give logits matter
            if (wanted == 0) return logits;
            ops.attention(index, batch, q, attended);
            hidden = ops.keep_rows(hidden, batch.logits_rows);
            attended = ops.keep_rows(attended, batch.logits_rows);
            normed = ops.rows(Slot::normed, wanted, spec.hidden_size);
            delta = ops.rows(Slot::delta, wanted, spec.hidden_size);
            gate = ops.rows(Slot::gate, wanted, spec.intermediate_size);
            up = ops.rows(Slot::up, wanted, spec.intermediate_size);
        } else {
            ops.attention(index, batch, q, attended);
        }
        ops.linear(attended, {{&layer.o, delta}});
        ops.add_rms_norm(hidden, delta, layer.ffn_norm, normed);
        ops.linear(normed, {{&layer.gate, gate}, {&layer.up, up}});
        ops.silu_multiply(gate, up);
        ops.linear(gate, {{&layer.down, delta}});
    }
    ops.add_rms_norm(hidden, delta, model.final_norm, normed);
    ops.linear(normed, {{&model.lm_head, logits}});
    return logits;
}

}  // namespace troupe
