// Measures what a server adds to its steps, and corrects a device file by it.
#pragma once
#include "conf/config.hpp"
#include "conf/device_file.hpp"
#include "core/status.hpp"

namespace troupe {

// Serves the model in this process on a port of the loopback and asks it over HTTP, alone and by several at a
// time; the steps that the schedulers recorded meanwhile correct [step] and give the gap between steps, what
// clients saw before their first step gives the rest of [server]. Fills in [engine] too. Precondition: [step]
// is there.
Status calibrate_server(const Config& config, DeviceFile& device);

}  // namespace troupe
