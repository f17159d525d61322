#include "policies/loader/make_policy.hpp"

#include <future>
#include <stdexcept>
#include <thread>
#include <utility>

#include "policies/builtin.hpp"
#include "policies/loader/isolated_port.hpp"
#include "policies/loader/plugin_port.hpp"
#include "policies/loader/policy_library.hpp"

namespace troupe {
namespace {

bool is_path(const std::string& name) { return name.find('/') != std::string::npos || name.ends_with(".so"); }

}  // namespace

Result<std::unique_ptr<PolicyPort>> make_policy(const PolicyChoice& choice) {
    const PolicyTable* table = find_builtin_policy(choice.name);
    if (table == nullptr && !is_path(choice.name)) {
        return invalid_argument("There is no policy '" + choice.name + "'; there are " +
                                    builtin_policy_names() + ", and plug-ins by their path (./libmine.so).",
                                "policy");
    }
    if (choice.isolate) return IsolatedPort::make(choice);
    if (table != nullptr) {
        try {
            return std::unique_ptr<PolicyPort>(std::make_unique<TablePolicyPort>(*table, choice.options));
        } catch (const std::invalid_argument& error) {
            return invalid_argument("The policy " + choice.name + " does not start: " + error.what(),
                                    "policy_options");
        }
    }
    auto library = PolicyLibrary::open(choice.name);
    if (!library) return library.error();
    return PluginPort::make(*library, choice.options, choice.budget);
}

Result<std::unique_ptr<PolicyPort>> make_policy_within(const PolicyChoice& choice,
                                                       std::chrono::milliseconds patience) {
    std::promise<Result<std::unique_ptr<PolicyPort>>> made;
    auto answer = made.get_future();
    std::thread([choice, promise = std::move(made)]() mutable {
        promise.set_value(make_policy(choice));
    }).detach();
    if (answer.wait_for(patience) == std::future_status::ready) return answer.get();
    return invalid_argument(
        "The policy has not started within " + std::to_string(patience.count()) +
            " ms: its create() does not return. A thread is left behind with it; in a process "
            "of its own (isolate) such a policy is ended.",
        "policy", "policy_start_timeout");
}

Result<std::string> policy_option_lines(const std::vector<std::string>& options) {
    std::string lines;
    for (const std::string& option : options) {
        const std::size_t equals = option.find('=');
        if (equals == 0 || equals == std::string::npos || option.find('\n') != std::string::npos)
            return invalid_argument("'" + option + "' is not KEY=VALUE", "policy_options");
        lines += option + "\n";
    }
    return lines;
}

}  // namespace troupe
