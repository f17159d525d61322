// The process's log: spdlog to the error stream.
#pragma once
#include "conf/config.hpp"

namespace spdlog {
class logger;
}

namespace troupe {

void set_up_logging(const LogConfig& config);
// The lines of a logger: text, or JSON objects.
void set_format(spdlog::logger& logger, bool json);

}  // namespace troupe
