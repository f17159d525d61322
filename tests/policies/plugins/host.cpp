// The process of an isolated policy, in the place of `troupe policy host`.
#include "policies/loader/policy_host.hpp"

int main() { return troupe::run_policy_host(3); }
