// The one table of options. Command-line flags, the TOML file, the environment and docs/configuration.md are
// all made from it, so an option has one name, one range, one default and one help text.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/config.hpp"
#include "core/status.hpp"

namespace troupe {

enum class ValueKind : std::uint8_t { text, integer, size, duration, flag };

struct Option {
    std::string flag;     // "--max-num-seqs"
    std::string section;  // table of the TOML file: "engine"
    std::string key;      // in that table: "max_num_seqs"
    ValueKind kind = ValueKind::text;
    std::string metavar;        // "N", "SIZE", "auto|f32"
    std::string allowed;        // "1 to 4096", or empty
    std::string default_value;  // as text: what the field holds in Config{}, or what the program does then
    std::string help;           // what it does, and how to choose it
    // Parses and stores. The error says what is allowed, without naming the option.
    std::function<Status(Config&, std::string_view)> set;
    // Can be given several times, in a TOML file as an array; set() gets all of them, one a line.
    bool repeated = false;
    // Without it the server is open to all: a variable that is empty by mistake is an error, not unset.
    bool guards = false;

    std::string environment_variable() const;  // "TROUPE_MAX_NUM_SEQS"
};

// In the order of the help texts: all options of a section are neighbours.
const std::vector<Option>& options();

struct Section {
    std::string name;   // "engine"
    std::string title;  // "Engine: ..."
};
const std::vector<Section>& sections();

}  // namespace troupe
