#include "apps/device_costs.hpp"

#include "engine/simulator/calibration.hpp"

namespace troupe {

CalibratedOptions costs_of(const DeviceFile& device) {
    return {{device.tokens, device.tokens_us},
            {device.logits, device.logits_us},
            device.decode_context_us,
            device.chunk_context_us,
            device.chunk_pair_us};
}

void set_costs(DeviceFile& device, const CalibratedOptions& costs) {
    device.tokens = costs.tokens.x;
    device.tokens_us = costs.tokens.us;
    device.logits = costs.logits.x;
    device.logits_us = costs.logits.us;
    device.decode_context_us = costs.decode_context_us;
    device.chunk_context_us = costs.chunk_context_us;
    device.chunk_pair_us = costs.chunk_pair_us;
}

void correct_device(DeviceFile& device, const std::vector<RecordedStep>& steps) {
    CalibratedOptions costs = costs_of(device);
    correct_costs(costs, steps);
    set_costs(device, costs);
    device.gap_us = mean_gap_us(steps);
}

}  // namespace troupe
