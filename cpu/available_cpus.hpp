// How many CPUs this process may really use, which in a container is seldom what the machine has.
#pragma once
#include <filesystem>

namespace troupe {

// CPUs granted by the bandwidth limits (cgroup v2 cpu.max, v1 cpu.cfs_quota_us) of the cgroup named in
// `membership` (the content of /proc/self/cgroup is at that path) and of those above it, under `root`.
// Rounded up; 0 if there is no limit.
unsigned cgroup_cpu_limit(const std::filesystem::path& membership, const std::filesystem::path& root);

// The least of the CPUs in this thread's affinity mask and the cgroup's limit; at least 1.
unsigned available_cpus();

}  // namespace troupe
