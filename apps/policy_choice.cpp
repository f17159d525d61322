#include "apps/policy_choice.hpp"

#include <chrono>
#include <sstream>
#include <stdexcept>

#include "policies/builtin.hpp"
#include "policies/loader/make_policy.hpp"

namespace troupe {
namespace {

// Those of "k=v" and "NAME:k=v" that are for this policy, a line each.
std::string options_for(const std::string& name, const std::vector<std::string>& options) {
    std::string lines;
    for (const std::string& option : options) {
        const std::size_t colon = option.find(':'), equals = option.find('=');
        const bool addressed = colon != std::string::npos && colon < equals;
        if (addressed && option.substr(0, colon) != name) continue;
        lines += option.substr(addressed ? colon + 1 : 0) + "\n";
    }
    return lines;
}

}  // namespace

Result<std::vector<NamedPolicy>> choose_policies(const std::string& names,
                                                 const std::vector<std::string>& options) {
    std::vector<NamedPolicy> policies;
    std::istringstream stream(names);
    for (std::string name; std::getline(stream, name, ',');) {
        if (name.find('/') != std::string::npos || name.ends_with(".so")) {
            PolicyChoice choice;
            choice.name = name;
            choice.options = options_for(name, options);
            choice.budget =
                std::chrono::hours(1);  // what the machine's clock says must not change a simulation
            if (auto tried = make_policy(choice); !tried)
                return invalid_argument("--policy: " + tried.error().message, "--policy");
            policies.push_back({name, [choice] { return *make_policy(choice); }});
            continue;
        }
        const PolicyTable* table = find_builtin_policy(name);
        if (table == nullptr) {
            return invalid_argument(
                "--policy: '" + name + "' is not known; known are " + builtin_policy_names(), "--policy");
        }
        const std::string lines = options_for(name, options);
        try {
            TablePolicyPort(*table, lines);
        } catch (const std::invalid_argument& error) {
            return invalid_argument("--policy-option: " + name + ": " + error.what(), "--policy-option");
        }
        policies.push_back(
            {name, [table, lines] { return std::make_unique<TablePolicyPort>(*table, lines); }});
    }
    if (policies.empty()) return invalid_argument("--policy: name at least one", "--policy");
    return policies;
}

}  // namespace troupe
