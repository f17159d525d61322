// The `troupe` program: parses the command line and runs one subcommand.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <exception>
#include <vector>

#include "apps/commands.hpp"

namespace troupe {
namespace {

constexpr const char* description =
    "Troupe serves large language models with a troupe of actors, over the OpenAI API.\n";

constexpr const char* examples = R"(Begin with:
  troupe serve                            serve the default model on http://127.0.0.1:8000/v1
  troupe serve --model llama.gguf --port 9000 --kv-memory 2GiB
  troupe chat                             talk with the default model in the terminal
  troupe generate "Why is the sky blue?"  one answer
  troupe bench --url http://127.0.0.1:8000 --concurrency 8
  troupe COMMAND --help                   all about a command

Every option of the configuration can also be given as an environment variable (--max-num-seqs is
TROUPE_MAX_NUM_SEQS) or in a TOML file (--config); docs/configuration.md lists them.)";

int run(int argc, char** argv) {
    CLI::App program(description, "troupe");
    program.require_subcommand(1);
    program.footer(examples);
    program.get_formatter()->column_width(34);
    program.set_version_flag("--version", "troupe " TROUPE_VERSION);
    const std::vector<Command> commands{serve_command(program),    generate_command(program),
                                        chat_command(program),     bench_command(program),
                                        tokenize_command(program), logits_command(program),
                                        render_command(program),   version_command(program)};
    try {
        program.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return program.exit(error) == 0 ? 0 : exit_usage;
    }
    for (const Command& command : commands) {
        if (command.parser->parsed()) return command.run();
    }
    return exit_usage;
}

}  // namespace
}  // namespace troupe

int main(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN);
    try {
        return troupe::run(argc, argv);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "troupe: %s\n", error.what());
        return troupe::exit_failure;
    }
}
