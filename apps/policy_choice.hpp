// Policies by name, for commands that make several.
#pragma once
#include <string>
#include <vector>

#include "apps/simulate_input.hpp"
#include "core/status.hpp"

namespace troupe {

// "fcfs,sjf": each of them, with options "k=v" that all of them get and "NAME:k=v" for one.
Result<std::vector<NamedPolicy>> choose_policies(const std::string& names,
                                                 const std::vector<std::string>& options);

}  // namespace troupe
