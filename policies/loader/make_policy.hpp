// From the operator's words to a policy that the Scheduler can ask.
#pragma once
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "core/status.hpp"
#include "engine/policy_port.hpp"

namespace troupe {

struct PolicyChoice {
    std::string name =
        "fcfs";           // a built-in one, or the path of a library: with a slash in it, or ending in .so
    std::string options;  // lines "key=value"
    // For a decision of a plug-in; the next ones are FCFS's until more has been paid back.
    std::chrono::microseconds budget{20000};
    bool isolate = false;  // in a process of its own
    // The program and its arguments that call run_policy_host(3); empty: this one, "policy host".
    std::vector<std::string> host = {};
};

// Errors name the policies that there are, or what is wrong with the library or the options. Waits until the
// policy has started: seconds in a process of its own that does not answer.
Result<std::unique_ptr<PolicyPort>> make_policy(const PolicyChoice& choice);

// The same in a thread of its own. If the policy has not started by then, which is an error as well, the
// thread is left behind with it: nothing can end a call into a library.
Result<std::unique_ptr<PolicyPort>> make_policy_within(const PolicyChoice& choice,
                                                       std::chrono::milliseconds patience);

// Lines of "key=value", or what is wrong with one.
Result<std::string> policy_option_lines(const std::vector<std::string>& options);

}  // namespace troupe
