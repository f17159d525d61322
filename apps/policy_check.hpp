// `troupe policy check`: what a plug-in does with thousands of random states, told before a server finds out.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace troupe {

struct PolicyCheckOptions {
    std::string path;     // of the library; or the name of a built-in policy
    std::string options;  // lines "key=value"
    std::uint32_t states = 5000;
    std::uint64_t seed = 1;
    bool calls_only = false;                   // no simulated servers, no look at memory
    std::chrono::milliseconds budget{20};      // a call that takes longer, twice, is slow
    std::chrono::milliseconds patience{5000};  // one that takes longer has not returned
};

struct PolicyCheckReport {
    std::vector<std::string> faults;  // each a line: what, how often, where first
    std::uint64_t decisions = 0;
    double slowest_us = 0;
    double median_us = 0;
};

// In a process of its own (a fork): a crash or an endless loop is a fault like any other. Looks for invalid
// decisions, exceptions, errors, writes outside the arrays, changes of the view, slow calls and memory that
// is not given back. Call it from a program with one thread.
PolicyCheckReport check_policy(const PolicyCheckOptions& options);

}  // namespace troupe
