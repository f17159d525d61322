#include "model/expert_tensors.hpp"

#include <cstring>

namespace troupe {
namespace {

constexpr std::size_t mxfp4_block = 32;        // weights that share a scale
constexpr std::size_t mxfp4_block_bytes = 17;  // as GGUF lays them out: the scale, then 16 pairs of nibbles

// A row of Hugging Face's MXFP4, whose bytes hold neighbours, to GGUF's, whose bytes hold weights i and i
// + 16.
void repack_mxfp4(const std::byte* pairs, const std::byte* scales, std::size_t blocks, std::byte* out) {
    for (std::size_t block = 0; block < blocks; ++block, pairs += 16, out += mxfp4_block_bytes) {
        const auto nibble = [&](std::size_t i) {
            const auto pair = std::to_integer<unsigned>(pairs[i / 2]);
            return i % 2 == 0 ? pair & 15U : pair >> 4;
        };
        out[0] = scales[block];
        for (std::size_t i = 0; i < 16; ++i)
            out[1 + i] = static_cast<std::byte>(nibble(i) | nibble(i + 16) << 4);
    }
}

class ExpertTaker {
  public:
    ExpertTaker(TensorTaker& taker, const WeightsRequest& request, const ModelSpec& spec,
                const std::string& prefix, LayerWeights& layer)
        : taker_(taker),
          request_(request),
          names_(request.names),
          moe_(*spec.moe),
          hidden_(spec.hidden_size),
          inner_(moe_.intermediate_size),
          prefix_(prefix),
          layer_(layer) {}

    void take() {
        if (!names_.router) return taker_.fail("this format holds no experts.");
        layer_.router = taker_.matrix(prefix_ + names_.router + ".weight", {moe_.num_experts, hidden_});
        if (request_.expert_biases)
            layer_.router_bias = taker_.vector(prefix_ + names_.router + ".bias", moe_.num_experts);
        layer_.experts.resize(moe_.num_experts);
        const std::string gate_up = names_.fused_gate_up ? prefix_ + names_.fused_gate_up : "";
        if (names_.all_gate && taker_.has(prefix_ + names_.all_gate + ".weight")) {
            take_stacks();
        } else if (request_.expert_layout == ExpertLayout::interleaved && names_.fused_gate_up) {
            if (taker_.has(gate_up + "_blocks")) {
                take_mxfp4();
            } else {
                take_interleaved();
            }
            take_interleaved_biases();
        } else if (names_.fused_gate_up && taker_.has(gate_up)) {
            take_fused();
        } else {
            take_one_by_one();
        }
        if (moe_.shared_intermediate_size != 0) take_shared();
    }

  private:
    void take_one_by_one() {
        for (std::uint32_t i = 0; i < moe_.num_experts && taker_.status(); ++i) {
            ExpertWeights& expert = layer_.experts[i];
            const auto name = [&](const char* which) {
                // GGUF of before the stacks: ffn_gate.0.weight; Hugging Face: experts.0.w1.weight
                const std::string index = std::to_string(i);
                return prefix_ +
                       (names_.experts ? std::string(names_.experts) + "." + index + "." + which
                                       : std::string(which) + "." + index) +
                       ".weight";
            };
            expert.gate = taker_.matrix(name(names_.expert_gate), {inner_, hidden_});
            expert.up = taker_.matrix(name(names_.expert_up), {inner_, hidden_});
            expert.down = taker_.matrix(name(names_.expert_down), {hidden_, inner_});
        }
    }

    void take_stacks() {
        const std::uint64_t count = moe_.num_experts;
        const Tensor gate = taker_.matrix(prefix_ + names_.all_gate + ".weight", {count, inner_, hidden_});
        const Tensor up = taker_.matrix(prefix_ + names_.all_up + ".weight", {count, inner_, hidden_});
        const Tensor down = taker_.matrix(prefix_ + names_.all_down + ".weight", {count, hidden_, inner_});
        Tensor gate_bias;
        Tensor up_bias;
        Tensor down_bias;
        if (request_.expert_biases) {
            gate_bias = taker_.vectors(prefix_ + names_.all_gate + ".bias", moe_.num_experts, inner_);
            up_bias = taker_.vectors(prefix_ + names_.all_up + ".bias", moe_.num_experts, inner_);
            down_bias = taker_.vectors(prefix_ + names_.all_down + ".bias", moe_.num_experts, hidden_);
        }
        for (std::uint32_t i = 0; i < moe_.num_experts; ++i) {
            layer_.experts[i] = {rows_of(gate, i * inner_, inner_),
                                 rows_of(up, i * inner_, inner_),
                                 rows_of(down, i * hidden_, hidden_),
                                 rows_of(gate_bias, i, 1),
                                 rows_of(up_bias, i, 1),
                                 rows_of(down_bias, i, 1)};
        }
    }

    void take_fused() {
        const std::uint64_t count = moe_.num_experts;
        const Tensor gate_up = taker_.matrix(prefix_ + names_.fused_gate_up, {count, 2 * inner_, hidden_});
        const Tensor down = taker_.matrix(prefix_ + names_.fused_down, {count, hidden_, inner_});
        for (std::uint32_t i = 0; i < moe_.num_experts; ++i) {
            layer_.experts[i].gate = rows_of(gate_up, 2 * i * inner_, inner_);
            layer_.experts[i].up = rows_of(gate_up, (2 * i + 1) * inner_, inner_);
            layer_.experts[i].down = rows_of(down, i * hidden_, hidden_);
        }
    }

    // Columns first, first + step, ... of `from` [inputs][columns] as the rows of a matrix [outputs][inputs].
    Tensor turned(const Tensor& from, std::uint32_t first, std::uint32_t step) {
        const std::size_t width = from.dtype == DType::f32 ? 4 : 2;
        const std::uint32_t outputs = from.columns / step;
        std::byte* out = taker_.allocate(std::size_t{outputs} * from.rows * width);
        for (std::size_t row = 0; row < from.rows; ++row) {
            const std::byte* in = from.data + (row * from.columns + first) * width;
            for (std::size_t column = 0; column < outputs; ++column)
                std::memcpy(out + (column * from.rows + row) * width, in + column * step * width, width);
        }
        return {from.dtype, outputs, from.rows, out};
    }

    void take_interleaved() {
        const std::uint64_t count = moe_.num_experts;
        const Tensor gate_up = taker_.matrix(prefix_ + names_.fused_gate_up, {count, hidden_, 2 * inner_});
        const Tensor down = taker_.matrix(prefix_ + names_.fused_down, {count, inner_, hidden_});
        if (!taker_.status()) return;
        for (std::uint32_t i = 0; i < moe_.num_experts; ++i) {
            const Tensor both = rows_of(gate_up, i * hidden_, hidden_);
            layer_.experts[i].gate = turned(both, 0, 2);
            layer_.experts[i].up = turned(both, 1, 2);
            layer_.experts[i].down = turned(rows_of(down, i * inner_, inner_), 0, 1);
        }
    }

    void take_interleaved_biases() {
        if (!request_.expert_biases) return;
        const Tensor gate_up = taker_.vectors(prefix_ + names_.fused_gate_up + "_bias", moe_.num_experts,
                                              2 * static_cast<std::uint32_t>(inner_));
        const Tensor down = taker_.vectors(prefix_ + names_.fused_down + "_bias", moe_.num_experts, hidden_);
        if (!taker_.status()) return;
        for (std::uint32_t i = 0; i < moe_.num_experts; ++i) {
            const Tensor both = rows_of(gate_up, i, 1);
            const auto vector = [&](std::uint32_t first) {
                Tensor bias = turned(both, first, 2);
                bias.columns = bias.rows;
                bias.rows = 1;
                return bias;
            };
            layer_.experts[i].gate_bias = vector(0);
            layer_.experts[i].up_bias = vector(1);
            layer_.experts[i].down_bias = rows_of(down, i, 1);
        }
    }

    struct Mxfp4 {
        const std::byte* blocks;
        const std::byte* scales;
        std::size_t row_blocks;
    };

    Mxfp4 mxfp4(const std::string& name, std::uint64_t rows, std::uint64_t columns) {
        if (columns % mxfp4_block != 0)
            taker_.fail("MXFP4 experts need sizes that are multiples of 32, not " + std::to_string(columns) +
                        ".");
        const std::uint64_t blocks = columns / mxfp4_block;
        return {taker_.raw(name + "_blocks", {moe_.num_experts, rows, blocks, 16}),
                taker_.raw(name + "_scales", {moe_.num_experts, rows, blocks}), blocks};
    }

    // Rows first, first + step, ... as a matrix of `rows` rows.
    Tensor repacked(const Mxfp4& from, std::size_t first, std::size_t step, std::uint32_t rows) {
        const std::size_t bytes = from.row_blocks * mxfp4_block_bytes;
        std::byte* out = taker_.allocate(rows * bytes);
        for (std::size_t i = 0; i < rows; ++i) {
            const std::size_t block = (first + i * step) * from.row_blocks;
            repack_mxfp4(from.blocks + block * 16, from.scales + block, from.row_blocks, out + i * bytes);
        }
        return {DType::mxfp4, rows, static_cast<std::uint32_t>(from.row_blocks * mxfp4_block), out};
    }

    void take_mxfp4() {
        const Mxfp4 gate_up = mxfp4(prefix_ + names_.fused_gate_up, 2 * inner_, hidden_);
        const Mxfp4 down = mxfp4(prefix_ + names_.fused_down, hidden_, inner_);
        if (!taker_.status()) return;
        const auto inner = static_cast<std::uint32_t>(inner_);
        for (std::size_t i = 0; i < moe_.num_experts; ++i) {
            layer_.experts[i].gate = repacked(gate_up, i * 2 * inner_, 2, inner);
            layer_.experts[i].up = repacked(gate_up, i * 2 * inner_ + 1, 2, inner);
            layer_.experts[i].down = repacked(down, i * hidden_, 1, hidden_);
        }
    }

    void take_shared() {
        const std::uint32_t inner = moe_.shared_intermediate_size;
        layer_.shared_gate_proj =
            taker_.matrix(prefix_ + names_.shared_gate_proj + ".weight", {inner, hidden_});
        layer_.shared_up = taker_.matrix(prefix_ + names_.shared_up + ".weight", {inner, hidden_});
        layer_.shared_down = taker_.matrix(prefix_ + names_.shared_down + ".weight", {hidden_, inner});
        if (!moe_.shared_gate) return;
        const std::string name = prefix_ + names_.shared_gate + ".weight";
        const auto found = request_.find(name);  // GGUF has it as a vector
        layer_.shared_gate = found && found->shape.size() == 1 ? taker_.vector(name, hidden_)
                                                               : taker_.vectors(name, 1, hidden_);
    }

    TensorTaker& taker_;
    const WeightsRequest& request_;
    const TensorNames& names_;
    const MoeSpec& moe_;
    std::uint32_t hidden_;
    std::uint32_t inner_;
    const std::string& prefix_;
    LayerWeights& layer_;
};

}  // namespace

void take_moe(TensorTaker& taker, const WeightsRequest& request, const ModelSpec& spec,
              const std::string& prefix, LayerWeights& layer) {
    ExpertTaker(taker, request, spec, prefix, layer).take();
}

}  // namespace troupe
