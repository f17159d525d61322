// The CPU backend: executes steps on a prepared model with a paged KV pool. Owned and called by one worker
// thread; the model, the KV pool and the compute pool are shared and outlive it.
#pragma once
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "core/forward_batch.hpp"
#include "cpu/compute_pool.hpp"
#include "cpu/cpu_model.hpp"
#include "cpu/cpu_ops.hpp"
#include "cpu/kv_pool.hpp"
#include "model/backend.hpp"
#include "model/logprobs.hpp"
#include "model/sampling.hpp"

namespace troupe {

class CpuBackend final : public Backend {
  public:
    CpuBackend(std::shared_ptr<const CpuModel> model, std::shared_ptr<CpuKvPool> cache,
               std::shared_ptr<ComputePool> pool);

    // Throws std::invalid_argument on a batch that would read or write outside of the model or the pool.
    void execute(const ForwardBatch& batch, ForwardOutput& output) override;
    void copy_blocks(std::span<const BlockCopy> copies) override;
    const std::string& numerics() const override { return model_->numerics(); }

  private:
    void check(const ForwardBatch& batch) const;
    void draw(std::span<const float> logits, const ForwardBatch& batch, std::size_t row, unsigned thread,
              ForwardOutput& output);

    std::shared_ptr<const CpuModel> model_;
    std::shared_ptr<CpuKvPool> cache_;
    std::shared_ptr<ComputePool> pool_;
    CpuOps ops_;
    std::vector<Sampler> samplers_;  // of each thread
    std::vector<LogprobsMaker> logprobs_makers_;
};

// Bytes of one block of the pool, for apps that size it.
std::size_t cpu_bytes_per_block(const ModelSpec& spec, KvType kv_type, std::size_t block_size);

// For the actors: pools of num_blocks blocks, and backends that use them.
BackendFactory make_cpu_backend_factory(std::shared_ptr<const CpuModel> model,
                                        std::shared_ptr<ComputePool> pool, std::size_t num_blocks,
                                        std::size_t block_size);

}  // namespace troupe
