#include "conf/flags.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>

#include "conf/schema.hpp"

namespace troupe {

void ConfigFlags::add_to(CLI::App& command, const std::vector<std::string>& wanted) {
    const auto is_wanted = [&](const std::string& name) {
        return std::find(wanted.begin(), wanted.end(), name) != wanted.end();
    };
    for (const Section& section : sections()) {
        for (const Option& option : options()) {
            if (option.section != section.name || !(is_wanted(section.name) || is_wanted(option.flag)))
                continue;
            const std::string shown = option.default_value.empty() ? "none" : option.default_value;
            const std::string help = option.help + " [" + shown + "]";
            CLI::Option* flag = nullptr;
            if (option.repeated) {  // one value each time, or it would swallow what follows
                const auto store = [this, name = option.flag](const std::vector<std::string>& given) {
                    std::string& text = sources_.flags[name];
                    for (const std::string& one : given) text += (text.empty() ? "" : "\n") + one;
                };
                flag = command.add_option_function<std::vector<std::string>>(option.flag, store, help)
                           ->allow_extra_args(false);
            } else if (option.kind == ValueKind::flag) {
                flag = command.add_flag_callback(
                    option.flag, [this, name = option.flag] { sources_.flags[name] = "true"; }, help);
                flag->group(section.title);
                continue;
            } else {
                const auto store = [this, name = option.flag](const std::string& text) {
                    sources_.flags[name] = text;
                };
                flag = command.add_option_function<std::string>(option.flag, store, help);
            }
            flag->option_text(option.metavar)->group(section.title);
        }
    }
    command
        .add_option("--config", sources_.config_file,
                    "Read options from this TOML file; flags and TROUPE_* variables come before it.")
        ->option_text("FILE")
        ->group("Options");
    sources_.environment = [](const char* name) -> const char* { return std::getenv(name); };
}

Result<Config> ConfigFlags::load() const { return load_config(sources_); }

}  // namespace troupe
