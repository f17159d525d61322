// A model made ready for the CPU: packed weights. Read-only after prepare(); shared by workers and by those
// that replace them, so that a restart packs nothing again.
#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cpu/compute_pool.hpp"
#include "cpu/cpu_features.hpp"
#include "cpu/float_kernels.hpp"
#include "cpu/packed_matrix.hpp"
#include "cpu/weight_arena.hpp"
#include "model/model_spec.hpp"
#include "model/transformer.hpp"

namespace troupe {

enum class Compute : std::uint8_t {
    automatic,  // quantized weights x int8 activations
    f32,        // the reference: weights dequantized exactly, float32 activations
};

// If nothing else is asked for.
constexpr KvType kv_type_of(Compute compute) { return compute == Compute::f32 ? KvType::f32 : KvType::f16; }

struct CpuLinear {
    PackedMatrix matrix;
    std::vector<float> bias;  // empty: none
};

struct CpuExpert {
    CpuLinear gate, up, down;
};

// A layer's experts, ready for ExpertOps.
struct CpuMoe {
    CpuLinear router;  // always float weights: its products are in float32
    std::vector<CpuExpert> experts;
    CpuExpert shared;                // empty matrices: none
    std::vector<float> shared_gate;  // [hidden]; empty: the shared expert counts whole
};

class CpuModel {
  public:
    using Progress = std::function<void(std::size_t done, std::size_t total)>;
    using Parameters = ModelParameters<Tensor, CpuLinear, std::vector<float>, CpuMoe>;

    // Packs the weights, sharing the work out over the pool. `progress`, if there is one, is told after each
    // part how many of how many are done. May throw std::bad_alloc, and std::invalid_argument on what the CPU
    // cannot compute. The KV cache is to be of `kv_type`, or kv_type_of(compute).
    static std::shared_ptr<const CpuModel> prepare(const ModelSpec& spec,
                                                   std::shared_ptr<const Weights> weights, Compute compute,
                                                   ComputePool& pool, KernelPath path = best_kernel_path(),
                                                   const Progress& progress = {},
                                                   std::optional<KvType> kv_type = {});

    const ModelSpec& spec() const { return spec_; }
    const Weights& weights() const { return *weights_; }
    const Parameters& parameters() const { return parameters_; }
    KvType kv_type() const { return kv_type_; }
    KernelPath path() const { return path_; }
    std::size_t packed_bytes() const { return arena_.bytes_used(); }

    // Of weights, specification and types. All kernel paths give the same bits, so the path is no part of it.
    const std::string& numerics() const { return numerics_; }

  private:
    CpuModel() = default;

    ModelSpec spec_;
    std::shared_ptr<const Weights> weights_;
    KvType kv_type_ = KvType::f16;
    KernelPath path_ = KernelPath::portable;
    WeightArena arena_;
    Parameters parameters_;
    std::string numerics_;
};

}  // namespace troupe
