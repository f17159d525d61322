// Times the steps that a device file is made of.
#pragma once
#include "conf/config.hpp"
#include "conf/device_file.hpp"
#include "core/status.hpp"

namespace troupe {

// On a backend of its own, with the compute threads of the configuration. Fills in [step] and the model.
Result<DeviceFile> calibrate_steps(const Config& config, std::uint32_t rounds);

}  // namespace troupe
