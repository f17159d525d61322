// Causal attention of a ragged batch to the paged cache, shared out over the pool. A row's arithmetic is
// fixed by its own context (float_kernels.hpp); what is chosen here is only which rows go together, and who
// does them. Scale, soft cap and each layer's sliding window are the spec's.
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

    // out[t] = attention of q[t], both [T][num_heads * head_dim]; strides in floats. `sinks`, if not empty,
    // is a score for each head that takes part in its softmax but has no value (Xiao et al., 2023, "Efficient
    // Streaming Language Models with Attention Sinks", as gpt-oss learns them).
    void run(std::uint32_t layer, const float* q, std::size_t q_stride, std::span<const float> sinks,
             float* out, std::size_t out_stride);

  private:
    // Consecutive tokens of one sequence, and query heads that share a KV head.
    struct Tile {
        std::span<const BlockId> table;
        std::size_t token = 0;  // first, in the batch
        std::size_t num_queries = 0;
        std::size_t position = 0;  // of the first token
        std::size_t first_head = 0;
        std::size_t num_heads = 0;
        std::size_t end_piece() const { return (position + num_queries - 1) / attention_piece + 1; }
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
    // What layers of one window share. A query at position p sees the positions from p + 1 - window.
    struct Window {
        std::int64_t size = 0;                 // far above any position: none
        std::vector<Unit> units;               // empty: whole tiles are shared out
        std::vector<std::size_t> first_units;  // of each tile
        // Negative where the window begins before the sequence.
        std::int64_t first(std::size_t position) const {
            return static_cast<std::int64_t>(position) + 1 - size;
        }
        std::size_t first_piece(std::size_t position) const {
            return first(position) < 0 ? 0 : static_cast<std::size_t>(first(position)) / attention_piece;
        }
    };
    struct Run {  // the arguments of run()
        std::uint32_t layer = 0;
        const Window& window;
        const float* q = nullptr;
        std::size_t q_stride = 0;
        std::span<const float> sinks;
        float* out = nullptr;
        std::size_t out_stride = 0;
    };
    struct Scratch {
        std::vector<float> q, scores, parts;
        std::vector<std::byte> gathered, gathered_v;  // blocks of gathered_
    };

    void add_tiles(const ForwardBatch& batch, std::size_t row);
    void add_units(Window& window);
    Part part_at(std::vector<float>& memory, std::size_t index) const;
    void attend_tile(const Run& run, const Tile& tile, Scratch& scratch);
    void attend_piece(const Run& run, const Tile& tile, std::size_t piece, Scratch& scratch,
                      const Part& part);
    void locate(std::uint32_t layer, const Tile& tile, std::size_t piece, std::size_t first_token,
                std::size_t end_token, Scratch& scratch, AttentionPiece& args);
    void gather(std::uint32_t layer, const Tile& tile, std::size_t first, std::size_t count, std::byte* k,
                std::byte* v);
    void merge(const Window& window, const Tile& tile, std::size_t piece, const Part& into,
               const Part& later) const;
    void finish(const Run& run, const Tile& tile, const Part& part) const;

    const ModelSpec& spec_;
    const FloatKernels& kernels_;
    CpuKvPool& cache_;
    ComputePool& pool_;
    float scale_;
    KvLayout gathered_;  // of the groups that blocks of other sizes are gathered into
    std::size_t part_floats_;
    std::vector<Tile> tiles_;
    std::vector<Window> windows_;             // the different ones
    std::vector<std::size_t> layer_windows_;  // of each layer, index into windows_
    std::vector<float> unit_parts_;
    std::vector<float> no_values_;  // a sink's: zeros
    std::vector<Scratch> scratch_;  // of each thread
};

}  // namespace troupe
