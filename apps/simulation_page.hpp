// A simulation's results as one page: the table, distributions and timelines, policies side by side.
#pragma once
#include <string>
#include <vector>

#include "apps/simulation_report.hpp"
#include "apps/svg_plot.hpp"

namespace troupe {

// Of one policy: what its plots show.
struct PolicyCurves {
    std::string policy;
    PlotLine ttft, tpot, e2el;                    // milliseconds, share of requests up to it
    PlotLine running, waiting, kv, tokens, busy;  // seconds; all replicas together
};
PolicyCurves curves_of(const std::string& policy, const SimulationResult& result, std::uint32_t num_replicas);

std::string simulation_page(const SimulationFacts& facts, const std::vector<SimulationReport>& reports,
                            const std::vector<PolicyCurves>& curves);

}  // namespace troupe
