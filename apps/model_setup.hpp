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
    std::string name;  // what it is called if nobody says otherwise
    std::shared_ptr<const LoadedModel> loaded;
    std::shared_ptr<const CpuModel> cpu;
};

// Loads the weights and packs them for this CPU, on the process's compute threads.
Result<ReadyModel> set_up_model(const Config& config, const ModelSource& source, ComputePool& pool);

// The one model of commands that have no use for several; an error if there are several.
Result<ModelSource> only_model(const Config& config);

}  // namespace troupe
