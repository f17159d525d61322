// From a configuration to a model that can run on this machine's CPU.
#pragma once
#include <memory>
#include <string>

#include "conf/config.hpp"
#include "core/status.hpp"
#include "cpu/compute_pool.hpp"
#include "cpu/cpu_model.hpp"
#include "model/loader.hpp"

namespace troupe {

struct ReadyModel {
    std::string path;
    std::shared_ptr<const LoadedModel> loaded;
    Compute compute = Compute::automatic;
    std::shared_ptr<ComputePool> pool;  // the process's only one
    std::shared_ptr<const CpuModel> cpu;
};

// Loads the weights and packs them for this CPU.
Result<ReadyModel> set_up_model(const Config& config);

}  // namespace troupe
