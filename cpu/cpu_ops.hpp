// The operations of model/transformer.hpp on the CPU. Each takes effect before it returns: a phase of the
// compute pool, or inline where the work is less than a join. Owned and called by one worker thread.
#pragma once
#include <array>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <vector>

#include "core/forward_batch.hpp"
#include "cpu/activations.hpp"
#include "cpu/compute_pool.hpp"
#include "cpu/cpu_model.hpp"
#include "cpu/expert_ops.hpp"
#include "cpu/for_rows.hpp"
#include "cpu/kv_pool.hpp"
#include "cpu/paged_attention.hpp"
#include "model/rope.hpp"
#include "model/transformer.hpp"

namespace troupe {

class CpuOps {
  public:
    using Embedding = Tensor;
    using Linear = CpuLinear;
    using Vector = std::vector<float>;
    using Moe = CpuMoe;
    using Rows = FloatRows;

    CpuOps(const CpuModel& model, CpuKvPool& cache, ComputePool& pool);

    // Before each forward(): what the whole step shares.
    void begin(const ForwardBatch& batch);

    Rows rows(Slot slot, std::size_t count, std::size_t columns);
    void embed(const Tensor& embedding, std::span<const TokenId> ids, Rows out);
    void scale(Rows x, float by);
    void soft_cap(Rows x, float cap);
    void rms_norm(Rows x, const Vector& weight, Rows out);
    void rms_norm_parts(Rows x, const Vector& weight, std::size_t parts);
    void add(Rows x, Rows delta, float by);
    void add_rms_norm(Rows x, Rows delta, float by, const Vector& weight, Rows out);
    void linear(Rows x, std::initializer_list<LinearOutput<Rows, Linear>> outputs);
    void rope(std::uint32_t layer, const ForwardBatch& batch, Rows q, Rows k);
    void store_kv(std::uint32_t layer, const ForwardBatch& batch, Rows k, Rows v);
    void attention(std::uint32_t layer, const ForwardBatch& batch, Rows q, Rows out);
    void activate_multiply(Activation activation, Rows gate, Rows up);
    void moe(const Moe& moe, Rows normed, Rows out);
    Rows keep_rows(Rows rows, std::span<const std::int32_t> kept);
    static Rows slice(Rows rows, std::size_t first, std::size_t count) {
        return {rows.row(first), count, rows.columns, rows.stride};
    }

  private:
    template <class Body>
    void for_rows(std::size_t count, std::size_t work, Body body) {
        troupe::for_rows(pool_, count, work, body);
    }
    void store_token(std::uint32_t layer, std::size_t slot, const float* k, const float* v);

    const CpuModel& model_;
    CpuKvPool& cache_;
    ComputePool& pool_;
    const FloatKernels& kernels_;
    std::vector<RopeAngles> ropes_;  // of ModelSpec::ropes
    PagedAttention attention_;
    Activations activations_;
    ExpertOps experts_;
    std::array<std::vector<float>, static_cast<std::size_t>(Slot::count)> slots_;
};

}  // namespace troupe
