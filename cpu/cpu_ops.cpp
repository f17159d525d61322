#include "cpu/cpu_ops.hpp"

#include <algorithm>
#include <cstring>

namespace troupe {

CpuOps::CpuOps(const CpuModel& model, CpuKvPool& cache, ComputePool& pool)
    : model_(model),
      cache_(cache),
      pool_(pool),
      kernels_(float_kernels(model.path())),
      attention_(model.spec(), kernels_, cache, pool),
      activations_(model.path()),
      experts_(model.path(), pool) {
    for (const RopeSpec& rope : model.spec().ropes) ropes_.emplace_back(rope, model.spec().head_dim);
}

void CpuOps::begin(const ForwardBatch& batch) {
    for (RopeAngles& rope : ropes_) rope.begin(batch);
    attention_.plan(batch);
}

CpuOps::Rows CpuOps::rows(Slot slot, std::size_t count, std::size_t columns) {
    // Rows a multiple of 4 KB apart would compete for the same cache sets; but others read the logits as they
    // lie.
    const std::size_t stride = columns % 1024 == 0 && slot != Slot::logits ? columns + 16 : columns;
    std::vector<float>& memory = slots_[static_cast<std::size_t>(slot)];
    if (memory.size() < count * stride) memory.resize(count * stride);
    return {memory.data(), count, columns, stride};
}

void CpuOps::embed(const Tensor& embedding, std::span<const TokenId> ids, Rows out) {
    for_rows(out.count, out.columns, [&](std::size_t row) {
        dequantize_row(embedding, static_cast<std::uint32_t>(ids[row]), out.row(row));
    });
}

void CpuOps::scale(Rows x, float by) {
    for_rows(x.count, x.columns, [&](std::size_t row) { kernels_.scale(x.row(row), x.columns, by); });
}

void CpuOps::soft_cap(Rows x, float cap) {
    for_rows(x.count, 4 * x.columns, [&](std::size_t row) { kernels_.soft_cap(x.row(row), x.columns, cap); });
}

void CpuOps::rms_norm(Rows x, const Vector& weight, Rows out) {
    for_rows(x.count, x.columns, [&](std::size_t row) {
        kernels_.rms_norm(x.row(row), weight.data(), x.columns, model_.spec().rms_norm_eps, out.row(row));
    });
}

void CpuOps::rms_norm_parts(Rows x, const Vector& weight, std::size_t parts) {
    const std::size_t size = x.columns / parts;
    for_rows(x.count, x.columns, [&](std::size_t row) {
        for (std::size_t part = 0; part < parts; ++part) {
            float* at = x.row(row) + part * size;
            kernels_.rms_norm(at, weight.data(), size, model_.spec().rms_norm_eps, at);
        }
    });
}

void CpuOps::add(Rows x, Rows delta, float by) {
    for_rows(x.count, x.columns,
             [&](std::size_t row) { kernels_.add_scaled(x.row(row), delta.row(row), x.columns, by); });
}

void CpuOps::add_rms_norm(Rows x, Rows delta, float by, const Vector& weight, Rows out) {
    for_rows(x.count, x.columns, [&](std::size_t row) {
        kernels_.add_scaled(x.row(row), delta.row(row), x.columns, by);
        kernels_.rms_norm(x.row(row), weight.data(), x.columns, model_.spec().rms_norm_eps, out.row(row));
    });
}

void CpuOps::linear(Rows x, std::initializer_list<LinearOutput<Rows, Linear>> outputs) {
    constexpr std::size_t most = 4;  // outputs that share an input: q, k, v
    std::array<Product, most> products;
    std::size_t count = 0;
    bool int8 = false;
    for (const auto& output : outputs) {
        products[count++] = {&output.linear->matrix, output.out.data, output.out.stride};
        int8 = int8 || output.linear->matrix.wants_int8();
    }
    activations_.bind(x.data, x.count, x.columns, x.stride);
    if (int8) activations_.quantize(pool_);
    multiply(pool_, std::span(products).first(count), activations_, model_.path());
    for (const auto& output : outputs) {
        const std::vector<float>& bias = output.linear->bias;
        if (bias.empty()) continue;
        for_rows(x.count, bias.size(), [&](std::size_t row) {
            kernels_.add_scaled(output.out.row(row), bias.data(), bias.size(), 1.0F);
        });
    }
}

void CpuOps::rope(std::uint32_t layer, const ForwardBatch&, Rows q, Rows k) {
    const ModelSpec& spec = model_.spec();
    const std::size_t index = spec.layers[layer].rope;
    const RopeAngles& angles = ropes_[index];
    const bool interleaved = spec.ropes[index].interleaved;
    for_rows(q.count, q.columns + k.columns, [&](std::size_t row) {
        const auto [cosines, sines] = angles.of(row);
        Rotation rotation{spec.num_heads, spec.head_dim, angles.rotated(), interleaved, cosines, sines};
        kernels_.rope(q.row(row), rotation);
        rotation.heads = spec.num_kv_heads;
        kernels_.rope(k.row(row), rotation);
    });
}

void CpuOps::store_kv(std::uint32_t layer, const ForwardBatch& batch, Rows k, Rows v) {
    // Tokens are stored two bytes at a time, sixteen cache lines apart: more work than their floats.
    for_rows(k.count, 4 * k.columns, [&](std::size_t row) {
        store_token(layer, static_cast<std::size_t>(batch.slot_mapping[row]), k.row(row), v.row(row));
    });
}

void CpuOps::store_token(std::uint32_t layer, std::size_t slot, const float* k, const float* v) {
    const KvLayout& layout = cache_.layout();
    const auto block = static_cast<BlockId>(slot / layout.block_size);
    const std::size_t offset = slot % layout.block_size;
    for (std::size_t head = 0; head < model_.spec().num_kv_heads; ++head) {
        const float* k_head = k + head * layout.head_dim;
        const float* v_head = v + head * layout.head_dim;
        std::byte* k_to = cache_.k(block, layer, head);
        std::byte* v_to = cache_.v(block, layer, head);
        kernels_.store_kv(layout.type, k_head, layout.head_dim, layout.block_size,
                          k_to + offset * layout.element_bytes,
                          reinterpret_cast<float*>(k_to + layout.k_scales) + offset);
        kernels_.store_kv(layout.type, v_head, layout.head_dim, 1,
                          v_to + offset * layout.v_stride * layout.element_bytes,
                          reinterpret_cast<float*>(v_to + layout.v_scales) + offset);
    }
}

void CpuOps::attention(std::uint32_t layer, const ForwardBatch&, Rows q, Rows out) {
    attention_.run(layer, q.data, q.stride, model_.parameters().layers[layer].sinks, out.data, out.stride);
}

void CpuOps::activate_multiply(Activation activation, Rows gate, Rows up) {
    const auto kernel = activation == Activation::silu ? kernels_.silu_multiply : kernels_.gelu_multiply;
    for_rows(gate.count, 2 * gate.columns,
             [&](std::size_t row) { kernel(gate.row(row), up.row(row), gate.columns); });
}

void CpuOps::moe(const Moe& moe, Rows normed, Rows out) {
    experts_.run(*model_.spec().moe, moe, normed, out);
}

CpuOps::Rows CpuOps::keep_rows(Rows rows, std::span<const std::int32_t> kept) {
    for (std::size_t i = 0; i < kept.size(); ++i) {
        const auto from = static_cast<std::size_t>(kept[i]);
        if (from != i) std::memcpy(rows.row(i), rows.row(from), rows.columns * sizeof(float));
    }
    rows.count = kept.size();
    return rows;
}

}  // namespace troupe
