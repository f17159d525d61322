// Replaying a recording of a server, and taking its requests for a workload.
#pragma once
#include <string>

#include "core/status.hpp"
#include "engine/simulator/workload.hpp"

namespace troupe {

// Prints what came of it; the exit status: 0 if every plan was the same and the recording is whole.
int replay_file(const std::string& path);

// The requests that a server got for one model (which need not be named if it served one): arrivals, lengths,
// priorities, tenants, targets, salts, and content in blocks of 16 tokens. Errors name --trace or
// --trace-model.
Result<Workload> recorded_workload(const std::string& path, const std::string& model);

}  // namespace troupe
