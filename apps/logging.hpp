// The process's log: spdlog to the error stream.
#pragma once
#include "conf/config.hpp"

namespace troupe {

void set_up_logging(const LogConfig& config);

}  // namespace troupe
