#include "cpu/expert_ops.hpp"

#include <cstring>

#include "cpu/for_rows.hpp"
#include "cpu/packed_matrix.hpp"
#include "model/exp.hpp"

namespace troupe {
namespace {

// Rows a multiple of 4 KB apart would compete for the same cache sets.
FloatRows take(std::vector<float>& memory, std::size_t count, std::size_t columns) {
    const std::size_t stride = columns % 1024 == 0 ? columns + 16 : columns;
    if (memory.size() < count * stride) memory.resize(count * stride);
    return {memory.data(), count, columns, stride};
}

}  // namespace

ExpertOps::ExpertOps(KernelPath path, ComputePool& pool)
    : path_(path), kernels_(float_kernels(path)), pool_(pool), inputs_(path), inner_(path) {}

void ExpertOps::run(const MoeSpec& spec, const CpuMoe& moe, FloatRows x, FloatRows out) {
    route_rows(spec, moe, x);
    rows_.group(spec, choices_);
    groups_.clear();
    for (std::size_t expert = 0; expert < moe.experts.size(); ++expert) {
        const std::size_t first = rows_.begins[expert];
        const std::size_t count = rows_.begins[expert + 1] - first;
        if (count > 0) groups_.push_back({&moe.experts[expert], first, count});
    }
    gather(x);
    combine(spec, moe, feed_forward(spec, groups_, gathered_inputs_), out);
    if (moe.shared.gate.matrix) add_shared(spec, moe, x, out);
}

// The router's product is in float32 whatever the weights: which experts are chosen hangs on it.
void ExpertOps::route_rows(const MoeSpec& spec, const CpuMoe& moe, FloatRows x) {
    const FloatRows logits = take(logits_, x.count, spec.num_experts);
    inputs_.bind(x.data, x.count, x.columns, x.stride);
    const Product product{&moe.router.matrix, logits.data, logits.stride};
    multiply(pool_, {&product, 1}, inputs_, path_);
    choices_.resize(x.count * spec.experts_per_token);
    for_rows(pool_, x.count, 4 * spec.num_experts, [&](std::size_t token) {
        float* row = logits.row(token);
        const std::vector<float>& bias = moe.router.bias;
        if (!bias.empty()) kernels_.add_scaled(row, bias.data(), bias.size(), 1.0F);
        route(spec, row, std::span(choices_).subspan(token * spec.experts_per_token, spec.experts_per_token));
    });
}

// Each token's row once for each of its experts, in the forms that their weights want; quantized before.
void ExpertOps::gather(FloatRows x) {
    bool int8 = false;
    bool floats = false;
    for (const Group& group : groups_) {
        for (const CpuLinear* linear : {&group.expert->gate, &group.expert->up})
            (linear->matrix.wants_int8() ? int8 : floats) = true;
    }
    const FloatRows rows = take(gathered_, floats ? rows_.tokens.size() : 0, x.columns);
    gathered_inputs_.bind(rows.data, rows_.tokens.size(), x.columns, rows.stride);
    if (int8) inputs_.quantize(pool_);
    for_rows(pool_, rows_.tokens.size(), x.columns, [&](std::size_t row) {
        const std::size_t token = rows_.tokens[row];
        if (floats) std::memcpy(rows.row(row), x.row(token), x.columns * sizeof(float));
        if (int8) gathered_inputs_.copy_quantized_row(row, inputs_, token);
    });
}

void ExpertOps::add_products(std::span<const Group> groups, CpuLinear CpuExpert::*linear, FloatRows out) {
    for (const Group& group : groups) {
        products_.push_back({&(group.expert->*linear).matrix, out.row(group.first_row), out.stride,
                             group.first_row, group.num_rows});
    }
}

// down(activation(gate(x), up(x))) of each group's rows, but for down's bias.
FloatRows ExpertOps::feed_forward(const MoeSpec& spec, std::span<const Group> groups,
                                  const Activations& inputs) {
    const std::size_t inner = groups[0].expert->gate.matrix.rows();
    const FloatRows gate = take(gate_, inputs.rows(), inner);
    const FloatRows up = take(up_, inputs.rows(), inner);
    const FloatRows made = take(made_, inputs.rows(), inputs.columns());
    products_.clear();
    add_products(groups, &CpuExpert::gate, gate);
    add_products(groups, &CpuExpert::up, up);
    multiply(pool_, products_, inputs, path_);

    products_.clear();
    add_products(groups, &CpuExpert::down, made);
    const bool int8 = any_wants_int8(products_);
    inner_.bind(gate.data, gate.count, gate.columns, gate.stride);
    row_experts_.clear();
    for (const Group& group : groups) row_experts_.resize(group.first_row + group.num_rows, group.expert);
    for_rows(pool_, gate.count, 4 * inner, [&](std::size_t row) {
        activate(spec, *row_experts_[row], gate.row(row), up.row(row));
        if (int8) inner_.quantize_row(row);
    });
    multiply(pool_, products_, inner_, path_);
    return made;
}

// gate = activation(gate + bias, up + bias)
void ExpertOps::activate(const MoeSpec& spec, const CpuExpert& expert, float* gate, float* up) const {
    const std::size_t size = expert.gate.matrix.rows();
    if (!expert.gate.bias.empty()) kernels_.add_scaled(gate, expert.gate.bias.data(), size, 1.0F);
    if (!expert.up.bias.empty()) kernels_.add_scaled(up, expert.up.bias.data(), size, 1.0F);
    if (spec.activation == MoeSpec::Activation::silu) {
        kernels_.silu_multiply(gate, up, size);
    } else {
        kernels_.clamped_swiglu(gate, up, size, spec.alpha, spec.limit);
    }
}

void ExpertOps::combine(const MoeSpec& spec, const CpuMoe& moe, FloatRows made, FloatRows out) {
    const std::size_t chosen = spec.experts_per_token;
    for_rows(pool_, out.count, (chosen + 1) * out.columns, [&](std::size_t token) {
        float* to = out.row(token);
        std::memset(to, 0, out.columns * sizeof(float));
        for (std::size_t i = token * chosen; i < (token + 1) * chosen; ++i) {
            const std::vector<float>& bias = moe.experts[choices_[i].expert].down.bias;
            float* from = made.row(rows_.rows[i]);
            if (!bias.empty()) kernels_.add_scaled(from, bias.data(), out.columns, 1.0F);
            kernels_.add_scaled(to, from, out.columns, choices_[i].weight);
        }
    });
}

void ExpertOps::add_shared(const MoeSpec& spec, const CpuMoe& moe, FloatRows x, FloatRows out) {
    const Group all{&moe.shared, 0, x.count};
    if (moe.shared.gate.matrix.wants_int8() || moe.shared.up.matrix.wants_int8()) inputs_.quantize(pool_);
    const FloatRows made = feed_forward(spec, {&all, 1}, inputs_);
    for_rows(pool_, out.count, 3 * out.columns, [&](std::size_t token) {
        float weight = 1.0F;
        if (!moe.shared_gate.empty()) {
            const float score = kernels_.dot(x.row(token), moe.shared_gate.data(), x.columns);
            weight = 1.0F / (1.0F + exp_f32(-score));
        }
        kernels_.add_scaled(out.row(token), made.row(token), out.columns, weight);
    });
}

}  // namespace troupe
