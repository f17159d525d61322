// Flags for how a generation draws its tokens and when it ends; those left out come from the model.
#pragma once
#include "actors/client_port.hpp"
#include "core/status.hpp"

namespace CLI {
class App;
}

namespace troupe {

void add_sampling_flags(CLI::App& command, RequestedSampling& sampling);

}  // namespace troupe
