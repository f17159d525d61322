// The measured costs in a device file, as the cost model has them.
#pragma once
#include <vector>

#include "conf/device_file.hpp"
#include "engine/simulator/recorded_steps.hpp"

namespace troupe {

CalibratedOptions costs_of(const DeviceFile& device);
void set_costs(DeviceFile& device, const CalibratedOptions& costs);

// Corrects [step] and gap_us by what steps of a server took. Precondition: the device is calibrated.
void correct_device(DeviceFile& device, const std::vector<RecordedStep>& steps);

}  // namespace troupe
