#include "apps/memory.hpp"

#include <unistd.h>

#include <fstream>

#include "tests/catch.hpp"

using namespace troupe;
namespace fs = std::filesystem;

namespace {

// A machine's files under a folder of their own.
class Machine {
  public:
    Machine() : root_(fs::temp_directory_path() / ("troupe_memory_" + std::to_string(::getpid()))) {
        write("meminfo", "MemTotal: 16000000 kB\nMemAvailable:   8000 kB\n");
    }
    ~Machine() { fs::remove_all(root_); }
    void write(const std::string& path, const std::string& text) {
        fs::create_directories((root_ / path).parent_path());
        std::ofstream(root_ / path) << text;
    }
    std::optional<std::uint64_t> available() const {
        return available_memory({root_ / "meminfo", root_ / "membership", root_ / "cgroup"});
    }

  private:
    fs::path root_;
};

}  // namespace

TEST_CASE("without cgroups the machine's available memory counts") {
    const Machine machine;
    CHECK(machine.available() == std::uint64_t{8000 * 1024});
}

TEST_CASE("without any of the files it is unknown") {
    CHECK(available_memory({"/nonexistent/a", "/nonexistent/b", "/nonexistent/c"}) == std::nullopt);
}

TEST_CASE("cgroup version 2: the tightest limit on the way up counts, dropping page cache") {
    Machine machine;
    machine.write("membership", "0::/a/b\n");
    machine.write("cgroup/a/memory.max", "3000000\n");
    machine.write("cgroup/a/memory.current", "1500000\n");
    machine.write("cgroup/a/memory.stat", "anon 5\ninactive_file 500000\n");
    machine.write("cgroup/a/b/memory.max", "max\n");
    machine.write("cgroup/a/b/memory.current", "1500000\n");
    CHECK(machine.available() == std::uint64_t{2000000});
}

TEST_CASE("cgroup version 1 has its own names") {
    Machine machine;
    machine.write("membership", "5:cpu:/x\n4:memory:/y\n");
    machine.write("cgroup/memory/y/memory.limit_in_bytes", "3000000\n");
    machine.write("cgroup/memory/y/memory.usage_in_bytes", "2999999\n");
    machine.write("cgroup/memory/y/memory.stat", "total_inactive_file 999999\n");
    CHECK(machine.available() == std::uint64_t{1000000});
}

TEST_CASE("in a container the path is the host's, and the root's limit counts") {
    Machine machine;
    machine.write("membership", "0::/docker/0123\n");
    machine.write("cgroup/memory.max", "1000000\n");
    machine.write("cgroup/memory.current", "2000000\n");
    CHECK(machine.available() == std::uint64_t{0});
}
