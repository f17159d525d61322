#include "apps/sampling_flags.hpp"

#include <CLI/CLI.hpp>

namespace troupe {

void add_sampling_flags(CLI::App& command, RequestedSampling& sampling) {
    const char* group = "Sampling (what is left out comes from the model)";
    const auto option = [&](const char* flag, auto& place, const char* help, const char* metavar) {
        return command.add_option(flag, place, help)->option_text(metavar)->group(group);
    };
    option("--max-tokens", sampling.max_tokens, "Tokens to generate at the most [the rest of the context]",
           "N")
        ->check(CLI::Range(1U, 1U << 30));
    option("--temperature", sampling.temperature, "0 takes the most likely token; higher is more varied", "T")
        ->check(CLI::Range(0.0, 1000.0));
    option("--top-k", sampling.top_k, "Draw from the K most likely tokens; 0: from all", "K")
        ->check(CLI::Range(0, 1 << 30));
    option("--top-p", sampling.top_p, "Draw from the fewest tokens that are that likely together", "P")
        ->check(CLI::Range(1e-9, 1.0));
    option("--min-p", sampling.min_p, "Leave out tokens less likely than that share of the most likely one",
           "P")
        ->check(CLI::Range(0.0, 1.0));
    option("--seed", sampling.seed, "The same seed gives the same text", "N");
    option("--stop", sampling.stop, "End before this text; can be given several times", "TEXT")->take_all();
    command.add_flag("--ignore-eos", sampling.ignore_eos, "Go on after the model's end token")->group(group);
}

}  // namespace troupe
