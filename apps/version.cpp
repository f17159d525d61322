// `troupe version`
#include <CLI/CLI.hpp>
#include <cstdio>

#include "apps/commands.hpp"

namespace troupe {

Command version_command(CLI::App& program) {
    CLI::App* parser = program.add_subcommand("version", "Print the version");
    return {parser, [] {
                std::printf("troupe %s\n", TROUPE_VERSION);
                return 0;
            }};
}

}  // namespace troupe
