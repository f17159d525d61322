#include "apps/memory.hpp"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <string>

namespace troupe {
namespace {

namespace fs = std::filesystem;
constexpr std::uint64_t unlimited = std::numeric_limits<std::uint64_t>::max();

// The names that the two versions of cgroups give to the same things.
struct CgroupFiles {
    const char* limit;
    const char* usage;
    const char* reclaimable;  // line of memory.stat
};
constexpr CgroupFiles version_1{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"};
constexpr CgroupFiles version_2{"memory.max", "memory.current", "inactive_file"};

std::optional<std::uint64_t> read_number(const fs::path& path) {
    std::ifstream file(path);
    std::uint64_t value = 0;
    if (file >> value) return value;
    return std::nullopt;  // absent, or "max"
}

// The number after `name` at the start of a line.
std::optional<std::uint64_t> read_entry(const fs::path& path, const std::string& name) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
        std::istringstream words(line);
        std::string word;
        std::uint64_t value = 0;
        if (words >> word >> value && word == name) return value;
    }
    return std::nullopt;
}

std::uint64_t left_in(const fs::path& cgroup, const CgroupFiles& names) {
    const auto limit = read_number(cgroup / names.limit), usage = read_number(cgroup / names.usage);
    if (!limit || !usage) return unlimited;
    const std::uint64_t reclaimable = read_entry(cgroup / "memory.stat", names.reclaimable).value_or(0);
    const std::uint64_t taken = *usage - std::min(*usage, reclaimable);
    return *limit - std::min(*limit, taken);
}

// The least that is left in the cgroup and in those above it. In a container the path in `membership` may be
// the host's and not exist here; the walk then still ends at the root, which is the container's own.
std::uint64_t left_up_from(const fs::path& root, fs::path relative, const CgroupFiles& names) {
    std::uint64_t left = left_in(root, names);
    for (relative = relative.relative_path(); !relative.empty(); relative = relative.parent_path()) {
        left = std::min(left, left_in(root / relative, names));
    }
    return left;
}

}  // namespace

std::optional<std::uint64_t> available_memory(const MemoryFiles& files) {
    std::uint64_t left = unlimited;
    if (const auto kilobytes = read_entry(files.meminfo, "MemAvailable:")) left = *kilobytes * 1024;
    std::ifstream membership(files.membership);
    for (std::string line; std::getline(membership, line);) {  // "4:memory:/path" or "0::/path"
        const std::size_t first = line.find(':'), second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos) continue;
        const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
        const fs::path path = line.substr(second + 1);
        if (controllers == ",,") {
            left = std::min(left, left_up_from(files.cgroups, path, version_2));
        } else if (controllers.find(",memory,") != std::string::npos) {
            left = std::min(left, left_up_from(files.cgroups / "memory", path, version_1));
        }
    }
    if (left == unlimited) return std::nullopt;
    return left;
}

}  // namespace troupe
