// The program's subcommands, one file each. A command adds its flags to the parser when it is made, and runs
// later.
#pragma once
#include <functional>

namespace CLI {
class App;
}

namespace troupe {

struct Command {
    CLI::App* parser = nullptr;  // owned by the program's parser
    std::function<int()> run;    // gives the exit status: 0, 1 for a failure, 2 for a usage error
};

constexpr int exit_failure = 1;
constexpr int exit_usage = 2;

Command serve_command(CLI::App& program);
Command generate_command(CLI::App& program);
Command chat_command(CLI::App& program);
Command bench_command(CLI::App& program);
Command tokenize_command(CLI::App& program);
Command logits_command(CLI::App& program);
Command render_command(CLI::App& program);
Command plan_command(CLI::App& program);
Command simulate_command(CLI::App& program);
Command calibrate_command(CLI::App& program);
Command policy_command(CLI::App& program);
Command perplexity_command(CLI::App& program);
Command quantize_command(CLI::App& program);
Command version_command(CLI::App& program);

}  // namespace troupe
