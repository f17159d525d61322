#include "cpu/available_cpus.hpp"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>
#include <thread>

namespace troupe {
namespace {

// CPUs by one cgroup folder's own limit, 0 if it has none.
double own_limit(const std::filesystem::path& folder) {
    std::string quota;
    double period = 0;
    if (std::ifstream v2(folder / "cpu.max"); v2 >> quota >> period) {
        if (quota == "max") return 0;
    } else if (std::ifstream v1(folder / "cpu.cfs_quota_us"); v1 >> quota) {
        std::ifstream(folder / "cpu.cfs_period_us") >> period;
    }
    const double granted = std::atof(quota.c_str());  // v1 writes -1 for no limit
    return granted > 0 && period > 0 ? granted / period : 0;
}

unsigned affinity_cpus() {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return static_cast<unsigned>(CPU_COUNT(&set));
    return std::thread::hardware_concurrency();  // more CPUs than cpu_set_t holds
}

}  // namespace

unsigned cgroup_cpu_limit(const std::filesystem::path& membership, const std::filesystem::path& root) {
    double limit = 0;
    std::ifstream lines(membership);
    for (std::string line; std::getline(lines, line);) {  // "0::/path" (v2) or "4:cpu,cpuacct:/path" (v1)
        const auto first = line.find(':'), second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos) continue;
        const std::string controllers = line.substr(first + 1, second - first - 1);
        const bool v2 = controllers.empty();
        if (!v2 && ("," + controllers + ",").find(",cpu,") == std::string::npos) continue;
        const std::filesystem::path base = v2 ? root : root / controllers;
        // Inside a container the path may be the host's: folders that are not there have no limit.
        std::filesystem::path below = std::filesystem::path(line.substr(second + 1)).relative_path();
        while (true) {
            const double own = own_limit(base / below);
            if (own > 0 && (limit == 0 || own < limit)) limit = own;
            if (below.empty()) break;
            below = below.parent_path();
        }
    }
    return static_cast<unsigned>(std::ceil(std::min(limit, 65536.0)));
}

unsigned available_cpus() {
    const unsigned limit = cgroup_cpu_limit("/proc/self/cgroup", "/sys/fs/cgroup");
    const unsigned cpus = affinity_cpus();
    return std::max(1U, limit > 0 ? std::min(limit, cpus) : cpus);
}

}  // namespace troupe
