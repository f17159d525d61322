// A plug-in for a version of the interface that is gone.
#include "policies/policy_abi.h"

extern "C" __attribute__((visibility("default"))) const troupe::PolicyTable* troupe_policy(void) {
    static const troupe::PolicyTable table = {1,      sizeof(troupe::PolicyTable), nullptr, nullptr, nullptr,
                                              nullptr};
    return &table;
}
