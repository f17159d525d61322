#include "apps/policy_choice.hpp"

#include <sstream>

#include "policies/fcfs.hpp"

namespace troupe {

Result<std::vector<NamedPolicy>> choose_policies(const std::string& names,
                                                 const std::vector<std::string>& options) {
    std::string lines;
    for (const std::string& option : options) lines += option + "\n";
    std::vector<NamedPolicy> policies;
    std::istringstream stream(names);
    for (std::string name; std::getline(stream, name, ',');) {
        if (name != "fcfs")
            return invalid_argument("--policy: '" + name + "' is not known; known are fcfs", "--policy");
        const PolicyTable* table = &fcfs_policy();
        policies.push_back(
            {name, [table, lines] { return std::make_unique<TablePolicyPort>(*table, lines); }});
    }
    if (policies.empty()) return invalid_argument("--policy: name at least one", "--policy");
    return policies;
}

}  // namespace troupe
