#include "policies/loader/policy_library.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>

namespace troupe {
namespace {

Error unusable(const std::string& path, const std::string& why) {
    return invalid_argument("The policy " + path + " cannot be used: " + why, "policy");
}

bool write_all(int file, const char* data, std::streamsize size) {
    while (size > 0) {
        const auto written = ::write(file, data, static_cast<std::size_t>(size));
        if (written <= 0) return false;
        data += written;
        size -= written;
    }
    return true;
}

constexpr std::int64_t max_size = std::int64_t{256} << 20;

// Its bytes from where it stands on; it grows no more than it is allowed to.
bool copy_all(int from, int to) {
    char buffer[65536];
    std::int64_t copied = 0;
    ssize_t size = 0;
    while ((size = ::read(from, buffer, sizeof buffer)) > 0) {
        copied += size;
        if (copied > max_size || !write_all(to, buffer, size)) return false;
    }
    return size == 0;
}

// The file's bytes in memory of our own; -1 if they cannot be had. Only of a plain file: opening or reading
// a pipe or a device might never end.
int copy_of(const std::string& path) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) return -1;
    struct stat status {};
    const bool plain = ::fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_size <= max_size;
    int copy = plain ? memfd_create("policy", MFD_CLOEXEC) : -1;
    if (copy >= 0 && !copy_all(file, copy)) {
        ::close(copy);
        copy = -1;
    }
    ::close(file);
    return copy;
}

}  // namespace

Result<std::shared_ptr<const PolicyLibrary>> PolicyLibrary::open(const std::string& path) {
    std::shared_ptr<PolicyLibrary> library(new PolicyLibrary);
    library->copy_ = copy_of(path);
    if (library->copy_ < 0)
        return unusable(path, "there is no file that can be read (a plain one of at most 256 MiB).");
    const std::string name = "/proc/self/fd/" + std::to_string(library->copy_);
    library->handle_ = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library->handle_ == nullptr) {
        std::string why = dlerror();
        if (const auto at = why.find(name); at != std::string::npos) why.replace(at, name.size(), path);
        return unusable(path, why + ".");
    }
    const auto entry = reinterpret_cast<PolicyEntry>(dlsym(library->handle_, TROUPE_POLICY_ENTRY));
    if (entry == nullptr) return unusable(path, "it exports no function troupe_policy().");
    const PolicyTable* table = nullptr;
    try {
        table = entry();
    } catch (...) {
        return unusable(path, "its troupe_policy() throws an exception.");
    }
    if (table == nullptr) return unusable(path, "its troupe_policy() returns null.");
    if (table->abi_version != TROUPE_POLICY_ABI_VERSION || table->struct_size != sizeof(PolicyTable)) {
        return unusable(path, "it was built for version " + std::to_string(table->abi_version) +
                                  " of the policy interface, this is version " +
                                  std::to_string(TROUPE_POLICY_ABI_VERSION) +
                                  ": build it with the header that belongs to this program.");
    }
    if (table->create == nullptr || table->destroy == nullptr || table->decide == nullptr)
        return unusable(path, "its table lacks create, destroy or decide.");
    library->table_ = table;
    return std::shared_ptr<const PolicyLibrary>(library);
}

PolicyLibrary::~PolicyLibrary() {
    if (handle_ != nullptr) dlclose(handle_);
    if (copy_ >= 0) close(copy_);
}

}  // namespace troupe
