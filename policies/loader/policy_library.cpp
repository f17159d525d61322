#include "policies/loader/policy_library.hpp"

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <fstream>

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

// The file's bytes in memory of our own; -1 if they cannot be had.
int copy_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) return -1;
    const int copy = memfd_create("policy", MFD_CLOEXEC);
    if (copy < 0) return -1;
    char buffer[65536];
    while (file.read(buffer, sizeof buffer) || file.gcount() > 0) {
        if (!write_all(copy, buffer, file.gcount())) {
            close(copy);
            return -1;
        }
    }
    return copy;
}

}  // namespace

Result<std::shared_ptr<const PolicyLibrary>> PolicyLibrary::open(const std::string& path) {
    std::shared_ptr<PolicyLibrary> library(new PolicyLibrary);
    library->copy_ = copy_of(path);
    if (library->copy_ < 0) return unusable(path, "there is no file that can be read.");
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
