// How evenly tenants that wait are served.
#pragma once
#include <optional>

#include "engine/simulator/simulator.hpp"

namespace troupe {

// Jain's index (Jain, Chiu, Hawe, 1984) of the service of those tenants that have something waiting during a
// whole span of time, averaged over the spans that have at least two such tenants; nothing without any. 1:
// all get the same; 1/n: one of n gets all. Service is prompt tokens + 2 * generated tokens, as in the paper
// on the virtual token counter (Sheng et al., "Fairness in Serving Large Language Models", 2024).
std::optional<double> service_fairness(const Workload& workload, const SimulationResult& result);

}  // namespace troupe
