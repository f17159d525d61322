// What `troupe plan` answers.
#pragma once
#include <string>

#include "apps/plan_input.hpp"

namespace troupe {

std::string plan_json(const PlanInput& plan);   // one line
std::string plan_table(const PlanInput& plan);  // for people

}  // namespace troupe
