// How evenly tenants that wait are served.
#pragma once
#include <optional>

#include "engine/simulator/simulator.hpp"

namespace troupe {

// Jain's index (Jain, Chiu, Hawe, 1984) of the service of those tenants that have something waiting during a
// whole span of time, averaged over the spans that have at least two such tenants; nothing without any. 1:
// all get the same; 1/n: one of n gets all. Service is prompt tokens that were not cached + 2 * generated
// tokens, as policies/fair.hpp counts it.
std::optional<double> service_fairness(const Workload& workload, const SimulationResult& result);

// The most that one tenant's service got ahead of another's while both had requests waiting, over any time:
// what theorem 4.4 of Sheng et al., "Fairness in Serving Large Language Models" (OSDI 2024), bounds. A
// request waits until it is first admitted; its prompt counts then, and its tokens evenly from the first to
// the last. Nothing if no two tenants ever wait at the same time, or for more than 256 tenants.
std::optional<double> largest_service_lead(const Workload& workload, const SimulationResult& result);

}  // namespace troupe
