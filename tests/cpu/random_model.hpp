// A small llama with random weights of any type, built in memory, and a way to run ragged batches on it.
#pragma once
#include <cstring>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "cpu/backend.hpp"
#include "tests/cpu/random_tensor.hpp"

namespace troupe {

struct RandomModel {
    ModelSpec spec;
    std::shared_ptr<Weights> weights = std::make_shared<Weights>();

    explicit RandomModel(DType dtype, std::uint32_t num_heads = 6, std::uint32_t num_kv_heads = 2,
                         std::uint32_t head_dim = 32) {
        spec.architecture = "llama";
        spec.num_layers = 2;
        spec.layers.resize(spec.num_layers);
        spec.num_heads = num_heads;
        spec.num_kv_heads = num_kv_heads;
        spec.head_dim = head_dim;
        const bool wide = block_columns(dtype) > 96;  // whole blocks
        spec.hidden_size = wide ? 256 : 96;
        spec.intermediate_size = wide ? 512 : 160;
        spec.vocab_size = 333;
        spec.max_position = 4096;
        weights->embedding = matrix(dtype, spec.vocab_size, spec.hidden_size);
        weights->lm_head = matrix(dtype, spec.vocab_size, spec.hidden_size);
        weights->final_norm = norm();
        for (std::uint32_t i = 0; i < spec.num_layers; ++i) {
            LayerWeights layer;
            layer.attn_norm = norm();
            layer.q = matrix(dtype, num_heads * head_dim, spec.hidden_size);
            layer.k = matrix(dtype, num_kv_heads * head_dim, spec.hidden_size);
            layer.v = matrix(dtype, num_kv_heads * head_dim, spec.hidden_size);
            layer.o = matrix(dtype, spec.hidden_size, num_heads * head_dim);
            layer.q_bias = matrix(DType::f32, 1, num_heads * head_dim);
            layer.ffn_norm = norm();
            layer.gate = matrix(dtype, spec.intermediate_size, spec.hidden_size);
            layer.up = matrix(dtype, spec.intermediate_size, spec.hidden_size);
            layer.down = matrix(dtype, spec.hidden_size, spec.intermediate_size);
            weights->layers.push_back(layer);
        }
    }

    // Windows shorter than a tile's queries, and longer than a piece; capped scores; sinks.
    void use_attention_options() {
        spec.layers[0].sliding_window = 3;
        spec.layers[1].sliding_window = 270;
        spec.attention_softcap = 5.0F;
        spec.attention_scale = 0.5F;
        for (LayerWeights& layer : weights->layers) layer.sinks = matrix(DType::f32, 1, spec.num_heads);
    }

    // As llama.cpp's mixtures (Q4_K_M): some matrices, and the output, in a type of more bits.
    void use_mixture(DType larger) {
        LayerWeights& layer = weights->layers[1];
        layer.v = matrix(larger, layer.v.rows, layer.v.columns);
        layer.down = matrix(larger, layer.down.rows, layer.down.columns);
        weights->lm_head = matrix(larger, spec.vocab_size, spec.hidden_size);
    }

    // Experts in the last layer, the first keeps its feed-forward network.
    void use_experts(const MoeSpec& moe, DType dtype, bool biases) {
        spec.moe = moe;
        spec.layers[1].moe = true;
        LayerWeights& layer = weights->layers[1];
        layer.gate = layer.up = layer.down = {};
        const auto bias = [&](std::uint32_t size) { return biases ? matrix(DType::f32, 1, size) : Tensor(); };
        layer.router = matrix(DType::bf16, moe.num_experts, spec.hidden_size);
        layer.router_bias = bias(moe.num_experts);
        for (std::uint32_t i = 0; i < moe.num_experts; ++i) {
            layer.experts.push_back({matrix(dtype, moe.intermediate_size, spec.hidden_size),
                                     matrix(dtype, moe.intermediate_size, spec.hidden_size),
                                     matrix(dtype, spec.hidden_size, moe.intermediate_size),
                                     bias(moe.intermediate_size), bias(moe.intermediate_size),
                                     bias(spec.hidden_size)});
        }
        if (moe.shared_intermediate_size == 0) return;
        layer.shared_gate_proj = matrix(dtype, moe.shared_intermediate_size, spec.hidden_size);
        layer.shared_up = matrix(dtype, moe.shared_intermediate_size, spec.hidden_size);
        layer.shared_down = matrix(dtype, spec.hidden_size, moe.shared_intermediate_size);
        if (moe.shared_gate) layer.shared_gate = matrix(DType::f32, 1, spec.hidden_size);
    }

  private:
    Tensor matrix(DType dtype, std::uint32_t rows, std::uint32_t columns) {
        return tensors_.emplace_back(dtype, rows, columns, tensors_.size() + 1).tensor;
    }
    Tensor norm() {
        RandomTensor& made = tensors_.emplace_back(DType::f32, 1, spec.hidden_size, tensors_.size() + 1);
        for (std::size_t i = 0; i < spec.hidden_size; ++i) {
            float value = 0.0F;
            std::memcpy(&value, &made.bytes[i * sizeof value], sizeof value);
            value += 1.0F;
            std::memcpy(&made.bytes[i * sizeof value], &value, sizeof value);
        }
        return made.tensor;
    }

    std::deque<RandomTensor> tensors_;
};

// A sequence that is computed in parts, with blocks of its own anywhere in the pool.
struct TestSequence {
    std::vector<TokenId> ids;
    std::vector<BlockId> blocks;
    std::size_t computed = 0;
    std::size_t prompt = 0;  // tokens of it that are the prompt; 0: all
};

struct TestRunner {
    struct Options {
        Compute compute = Compute::automatic;
        unsigned threads = 1;
        std::size_t block_size = 16;
        KernelPath path = best_kernel_path();
        std::size_t pool_tokens = 8192;
        std::optional<KvType> kv = {};
    };

    // Of a RandomModel, or of a model that was loaded.
    template <class Source>
    TestRunner(const Source& source, Options chosen)
        : options(chosen),
          pool(std::make_shared<ComputePool>(chosen.threads)),
          model(CpuModel::prepare(source.spec, source.weights, chosen.compute, *pool, chosen.path, {},
                                  chosen.kv)),
          cache(std::make_shared<CpuKvPool>(KvLayout(source.spec, model->kv_type(), chosen.block_size),
                                            chosen.pool_tokens / chosen.block_size)),
          backend(model, cache, pool),
          next_block(static_cast<BlockId>(cache->num_blocks()) - 1) {
        // What other sequences may have left in the pool must not matter.
        std::memset(cache->block(0), 0xFF, cache->num_blocks() * cache->bytes_per_block());
    }

    // Blocks run backwards, so that no sequence's are in order.
    TestSequence sequence(std::vector<TokenId> ids) {
        TestSequence made;
        while (made.blocks.size() * options.block_size < ids.size()) made.blocks.push_back(next_block--);
        made.ids = std::move(ids);
        return made;
    }

    // Computes the next `count` tokens of each sequence in one step; the logits of all of them, row by row.
    std::vector<std::vector<float>> step(std::vector<std::pair<TestSequence*, std::size_t>> rows) {
        ForwardBatch batch;
        batch.query_start = {0};
        batch.block_table_start = {0};
        for (auto& [sequence, count] : rows) {
            for (std::size_t i = 0; i < count; ++i, ++sequence->computed) {
                const std::size_t position = sequence->computed;
                const auto block = static_cast<std::size_t>(sequence->blocks[position / options.block_size]);
                batch.input_ids.push_back(sequence->ids[position]);
                batch.positions.push_back(static_cast<std::int32_t>(position));
                batch.slot_mapping.push_back(
                    static_cast<std::int32_t>(block * options.block_size + position % options.block_size));
                batch.logits_rows.push_back(static_cast<std::int32_t>(batch.logits_rows.size()));
            }
            batch.query_start.push_back(static_cast<std::int32_t>(batch.input_ids.size()));
            batch.context_lens.push_back(static_cast<std::int32_t>(sequence->computed));
            batch.prompt_lens.push_back(
                static_cast<std::int32_t>(sequence->prompt == 0 ? sequence->ids.size() : sequence->prompt));
            batch.block_tables.insert(batch.block_tables.end(), sequence->blocks.begin(),
                                      sequence->blocks.end());
            batch.block_table_start.push_back(static_cast<std::int32_t>(batch.block_tables.size()));
        }
        batch.sampling.resize(batch.logits_rows.size());
        ForwardOutput output;
        backend.execute(batch, output);
        tokens = output.tokens;
        std::vector<std::vector<float>> logits;
        for (std::size_t i = 0; i < batch.logits_rows.size(); ++i) {
            const float* row = output.logits + i * model->spec().vocab_size;
            logits.emplace_back(row, row + model->spec().vocab_size);
        }
        return logits;
    }

    // All tokens of a fresh sequence, in chunks of the given size: logits of every position.
    std::vector<std::vector<float>> whole(const std::vector<TokenId>& ids, std::size_t chunk) {
        TestSequence fresh = sequence(ids);
        std::vector<std::vector<float>> logits;
        while (fresh.computed < ids.size()) {
            for (auto& row : step({{&fresh, std::min(chunk, ids.size() - fresh.computed)}})) {
                logits.push_back(std::move(row));
            }
        }
        return logits;
    }

    Options options;
    std::shared_ptr<ComputePool> pool;
    std::shared_ptr<const CpuModel> model;
    std::shared_ptr<CpuKvPool> cache;
    CpuBackend backend;
    BlockId next_block;
    std::vector<TokenId> tokens;  // of the last step
};

inline std::vector<TokenId> random_ids(std::size_t count, unsigned seed) {
    std::mt19937 random(seed);
    std::vector<TokenId> ids(count);
    for (TokenId& id : ids) id = static_cast<TokenId>(random() % 333);
    return ids;
}

}  // namespace troupe
