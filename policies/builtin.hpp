// The policies that are part of the program, by name. docs/policies.md has a page on each.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "policies/policy_abi.h"

namespace troupe {

struct BuiltinPolicy {
    const char* name;
    const char* summary;  // a line for --help and logs
    const PolicyTable& (*table)();
};

const std::vector<BuiltinPolicy>& builtin_policies();

// Null if there is none of that name.
const PolicyTable* find_builtin_policy(std::string_view name);

// "fcfs, sjf, ...", for messages.
std::string builtin_policy_names();

}  // namespace troupe
