// Measures what a server adds to its steps, and corrects a device file by it.
#pragma once
#include "conf/config.hpp"
#include "conf/device_file.hpp"
#include "core/status.hpp"

namespace troupe {

// Serves the model in this process on a port of the loopback and asks it over HTTP: alone (time before the
// first step, gap between steps) and by several at a time (work for each token beside the computation). Fills
// in [server] and [engine]. Precondition: [step] is there.
Status calibrate_server(const Config& config, DeviceFile& device);

}  // namespace troupe
