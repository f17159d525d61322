// The `troupe` program: parses the command line and runs one subcommand.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "apps/commands.hpp"
#include "apps/console.hpp"

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

// The first argument, if it should be a command and is none: the parser would only miss a command.
Status check_command(const std::vector<Command>& commands, int argc, char** argv) {
    const std::string word = argc > 1 ? argv[1] : "-";
    if (word.starts_with('-')) return {};
    std::string known;
    for (const Command& command : commands) {
        if (command.parser->get_name() == word) return {};
        known += (known.empty() ? "" : ", ") + command.parser->get_name();
    }
    return invalid_argument("there is no command '" + word + "'; the commands are " + known);
}

// What a command printed counts only if it arrived.
int finish(int status) {
    const bool flushed = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
    if (status != 0 || flushed) return status;
    return report(internal_error("cannot write the standard output (closed, or is the disk full?)"));
}

int run(int argc, char** argv) {
    CLI::App program(description, "troupe");
    program.require_subcommand(1);
    program.footer(examples);
    program.get_formatter()->column_width(34);
    program.set_version_flag("--version", "troupe " TROUPE_VERSION);
    const std::vector<Command> commands{
        serve_command(program),      generate_command(program), chat_command(program),
        bench_command(program),      tokenize_command(program), logits_command(program),
        render_command(program),     plan_command(program),     simulate_command(program),
        calibrate_command(program),  policy_command(program),   quantize_command(program),
        perplexity_command(program), version_command(program)};
    if (const Status known = check_command(commands, argc, argv); !known) return report(known.error());
    try {
        program.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return program.exit(error) == 0 ? 0 : exit_usage;
    }
    for (const Command& command : commands) {
        if (command.parser->parsed()) return finish(command.run());
    }
    return exit_usage;
}

}  // namespace
}  // namespace troupe

int main(int argc, char** argv) {
    try {
        return troupe::run(argc, argv);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "troupe: %s\n", error.what());
        return troupe::exit_failure;
    }
}
