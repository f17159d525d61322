// A policy in a shared library.
#pragma once
#include <memory>
#include <string>

#include "core/status.hpp"
#include "policies/policy_abi.h"

namespace troupe {

// A loaded library; unloaded with its last owner. What is loaded is a private copy of the file: it can be
// written anew and loaded again while an older version is in use, and nothing happens to that one. (So the
// library's own $ORIGIN is not its folder.)
class PolicyLibrary {
  public:
    // Errors say what is wrong: no such file, no library, no entry point, another version of the interface.
    static Result<std::shared_ptr<const PolicyLibrary>> open(const std::string& path);
    ~PolicyLibrary();
    PolicyLibrary(const PolicyLibrary&) = delete;
    PolicyLibrary& operator=(const PolicyLibrary&) = delete;

    const PolicyTable& table() const { return *table_; }

  private:
    PolicyLibrary() = default;
    int copy_ =
        -1;  // descriptor; open as long as the library is loaded, for the loader knows it by its number
    void* handle_ = nullptr;
    const PolicyTable* table_ = nullptr;
};

}  // namespace troupe
