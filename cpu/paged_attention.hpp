// Causal attention of a ragged batch to the paged cache, shared out over the pool. A row's arithmetic is
// fixed by its own context (float_kernels.hpp); what is chosen here is only which rows go together, and who
// does them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/forward_batch.hpp"
#include "cpu/compute_pool.hpp"
#include "cpu/float_kernels.hpp"
#include "cpu/kv_pool.hpp"
#include "model/model_spec.hpp"

namespace troupe {

class PagedAttention {
  public:
    PagedAttention(const ModelSpec& spec, const FloatKernels& kernels, CpuKvPool& cache, ComputePool& pool);

    // Shares out the batch's (token, head) rows; the batch must stay for the calls of run() that follow.
    void plan(const ForwardBatch& batch);

    // out[t] = attention of q[t], both [T][num_heads * head_dim]; strides in floats.
    void run(std::uint32_t layer, const float* q, std::size_t q_stride, float* out, std::size_t out_stride);

  private:
    // Consecutive tokens of one sequence, and query heads that share a KV head.
    struct Tile {
        std::span<const BlockId> table;
        std::size_t token = 0;  // first, in the batch
        std::size_t num_queries = 0;
        std::size_t position = 0;  // of the first token
        std::size_t first_head = 0;
        std::size_t num_heads = 0;
        std::size_t num_pieces() const { return (position + num_queries - 1) / attention_piece + 1; }
    };
    // Rows' results of one piece, or of several merged: maximum[12], sum[12], values[12][v_stride].
    struct Part {
        float* maximum;
        float* sum;
        float* values;
    };
    struct Unit {  // a piece of a tile, where there are too few tiles for the threads
        std::size_t tile = 0;
        std::size_t piece = 0;
    };
    struct Scratch {
        std::vector<float> q, scores, parts;
        std::vector<std::byte> gathered;
    };

    void add_tiles(const ForwardBatch& batch, std::size_t row);
    Part part_at(std::vector<float>& memory, std::size_t index) const;
    void attend_piece(std::uint32_t layer, const Tile& tile, std::size_t piece, const float* q,
                      std::size_t stride, Scratch& scratch, const Part& part);
    void locate(std::uint32_t layer, const Tile& tile, std::size_t piece, std::size_t num_tokens,
                Scratch& scratch, AttentionPiece& args);
    void gather(std::uint32_t layer, const Tile& tile, std::size_t first, std::size_t count, std::byte* k,
                std::byte* v);
    void merge(const Tile& tile, std::size_t piece, const Part& into, const Part& later) const;
    void finish(const Tile& tile, const Part& part, float* out, std::size_t stride) const;

    const ModelSpec& spec_;
    const FloatKernels& kernels_;
    CpuKvPool& cache_;
    ComputePool& pool_;
    std::size_t part_floats_;
    std::vector<Tile> tiles_;
    std::vector<Unit> units_;              // empty: whole tiles are shared out
    std::vector<std::size_t> first_unit_;  // of each tile
    std::vector<float> unit_parts_;
    std::vector<Scratch> scratch_;  // of each thread
};

}  // namespace troupe
