// From flags, environment and a TOML file to one frozen Config. Precedence: flags, then environment, then
// file, then defaults. Every error names where the value came from: the flag, the variable, or the file and
// line.
#pragma once
#include <functional>
#include <map>
#include <string>

#include "conf/config.hpp"
#include "core/status.hpp"

namespace troupe {

struct ConfigSources {
    std::map<std::string, std::string> flags;             // "--max-num-seqs": as given on the command line
    std::string config_file;                              // of --config; empty: TROUPE_CONFIG, or none
    std::function<const char*(const char*)> environment;  // std::getenv, or a fake one
};

Result<Config> load_config(const ConfigSources& sources);

}  // namespace troupe
