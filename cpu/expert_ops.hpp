// A mixture of experts' feed-forward networks on the CPU. Tokens are put together by expert, so that a step
// reads each chosen expert's weights once: for a prompt that is one product of many rows an expert, for one
// token it reads only what it was sent to. A token's bits depend on its own row only: its products are those
// of multiply(), and what its experts make is added in ascending order of the experts.
#pragma once
#include <cstddef>
#include <span>
#include <vector>

#include "cpu/activations.hpp"
#include "cpu/compute_pool.hpp"
#include "cpu/cpu_model.hpp"
#include "cpu/float_kernels.hpp"
#include "cpu/routing.hpp"
#include "model/model_spec.hpp"

namespace troupe {

// Keeps the memory of a step for the next. Owned and called by one worker thread.
class ExpertOps {
  public:
    ExpertOps(KernelPath path, ComputePool& pool);

    // out[t] = what the experts that x[t] is sent to make of it, weighted, and the shared expert.
    void run(const MoeSpec& spec, const CpuMoe& moe, FloatRows x, FloatRows out);

  private:
    // An expert and the rows that it is given.
    struct Group {
        const CpuExpert* expert;
        std::size_t first_row, num_rows;
    };

    void route_rows(const MoeSpec& spec, const CpuMoe& moe, FloatRows x);
    void gather(FloatRows x);
    FloatRows feed_forward(const MoeSpec& spec, std::span<const Group> groups, const Activations& inputs);
    void add_products(std::span<const Group> groups, CpuLinear CpuExpert::*linear, FloatRows out);
    void activate(const MoeSpec& spec, const CpuExpert& expert, float* gate, float* up) const;
    void combine(const MoeSpec& spec, const CpuMoe& moe, FloatRows made, FloatRows out);
    void add_shared(const MoeSpec& spec, const CpuMoe& moe, FloatRows x, FloatRows out);

    KernelPath path_;
    const FloatKernels& kernels_;
    ComputePool& pool_;
    Activations inputs_, gathered_inputs_, inner_;
    std::vector<float> logits_, gathered_, gate_, up_, made_;
    std::vector<ExpertChoice> choices_;
    ExpertRows rows_;
    std::vector<Group> groups_;
    std::vector<Product> products_;
    std::vector<const CpuExpert*> row_experts_;
};

}  // namespace troupe
