// Objectives of latencies as people write them: "ttft:500", "tpot:50", "e2el:2000", in milliseconds.
#pragma once
#include <string>
#include <vector>

#include "apps/bench_report.hpp"
#include "core/status.hpp"

namespace troupe {

Result<BenchObjectives> parse_objectives(const std::vector<std::string>& texts);

}  // namespace troupe
