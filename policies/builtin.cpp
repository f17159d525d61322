#include "policies/builtin.hpp"

#include "policies/fair.hpp"
#include "policies/fcfs.hpp"
#include "policies/lpm.hpp"
#include "policies/priority.hpp"
#include "policies/sjf.hpp"
#include "policies/slo.hpp"
#include "policies/static_batching.hpp"

namespace troupe {

const std::vector<BuiltinPolicy>& builtin_policies() {
    static const std::vector<BuiltinPolicy> policies = {
        {"fcfs", "first come, first served", fcfs_policy},
        {"sjf", "shortest job first, by predicted output lengths", sjf_policy},
        {"priority", "most urgent first, preemptive, with ageing", priority_policy},
        {"slo", "the largest batch and chunk that keep latency targets", slo_policy},
        {"fair", "equal service for tenants by virtual token counters", fair_policy},
        {"lpm", "longest cached prefix first, with bounded waiting", lpm_policy},
        {"static", "static batching, the baseline", static_policy}};
    return policies;
}

const PolicyTable* find_builtin_policy(std::string_view name) {
    for (const BuiltinPolicy& policy : builtin_policies()) {
        if (name == policy.name) return &policy.table();
    }
    return nullptr;
}

std::string builtin_policy_names() {
    std::string names;
    for (const BuiltinPolicy& policy : builtin_policies()) {
        names += (names.empty() ? "" : ", ") + std::string(policy.name);
    }
    return names;
}

}  // namespace troupe
