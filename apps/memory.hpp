// How much memory this process may still take, which in a container is seldom what the machine has.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>

namespace troupe {

struct MemoryFiles {
    std::filesystem::path meminfo = "/proc/meminfo";
    std::filesystem::path membership = "/proc/self/cgroup";
    std::filesystem::path cgroups = "/sys/fs/cgroup";
};

// Bytes: the least of the machine's MemAvailable and what is left of the memory limit of this process's
// cgroup (version 1 or 2) and of those above it. Page cache that the kernel can drop counts as available.
// Empty: unknown.
std::optional<std::uint64_t> available_memory(const MemoryFiles& files = {});

}  // namespace troupe
