// The schema's options as flags of a CLI11 command.
#pragma once
#include <string>
#include <vector>

#include "conf/config.hpp"
#include "conf/load.hpp"
#include "core/status.hpp"

namespace CLI {
class App;
}

namespace troupe {

// Lives as long as the command that it was added to.
class ConfigFlags {
  public:
    // Adds --config and the options that `wanted` picks: names of sections ("engine") or flags ("--threads").
    void add_to(CLI::App& command, const std::vector<std::string>& wanted);

    // After the command line was parsed: flags, environment and file together.
    Result<Config> load() const;

  private:
    ConfigSources sources_;
};

}  // namespace troupe
