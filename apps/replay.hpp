// Replaying a recording of a server, and taking its requests for a workload.
#pragma once
#include <string>

#include "core/status.hpp"
#include "engine/simulator/workload.hpp"

namespace troupe {

// Prints what came of it; the exit status: 0 if every plan was the same and the recording is whole.
int replay_file(const std::string& path);

// The requests that a server got, with their own arrivals, lengths and content in blocks of 16 tokens.
Result<Workload> recorded_workload(const std::string& path);

}  // namespace troupe
