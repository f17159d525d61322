#include "apps/sampling_flags.hpp"

#include <CLI/CLI.hpp>

namespace troupe {
namespace {

LogitBias parse_bias(const std::string& text) {
    LogitBias entry;
    const auto middle = text.find('=');
    if (middle == std::string::npos || !CLI::detail::lexical_cast(text.substr(0, middle), entry.token) ||
        !CLI::detail::lexical_cast(text.substr(middle + 1), entry.bias) || entry.token < 0) {
        throw CLI::ValidationError("--logit-bias",
                                   text + " is not a token id, '=' and a number, such as 50=-2.5");
    }
    return entry;
}

}  // namespace

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
    option("--typical-p", sampling.typical_p,
           "Draw from the tokens of the most typical surprise that are that likely together", "P")
        ->check(CLI::Range(1e-9, 1.0));
    option("--xtc-probability", sampling.xtc_probability,
           "Leave out the likeliest tokens but the last of them, that often", "P")
        ->check(CLI::Range(0.0, 1.0));
    option("--xtc-threshold", sampling.xtc_threshold, "How likely those are at the least [0.1]", "P")
        ->check(CLI::Range(0.0, 1.0));
    option("--dry-multiplier", sampling.dry.multiplier,
           "Make tokens less likely that go on repeating the text (DRY); 0: do not", "X")
        ->check(CLI::Range(0.0, 100.0));
    option("--dry-base", sampling.dry.base, "By so much more with each token that the repetition has [1.75]",
           "X")
        ->check(CLI::Range(1.0, 100.0));
    option("--dry-allowed-length", sampling.dry.allowed_length,
           "Repetitions of fewer tokens cost nothing [2]", "N")
        ->check(CLI::Range(1U, 1U << 30));
    option("--dry-penalty-last-n", sampling.dry.last_n,
           "Look at that many of the last tokens; -1: at all [-1]", "N")
        ->check(CLI::Range(-1, 1 << 30));
    command
        .add_option_function<std::vector<std::string>>(
            "--dry-sequence-breaker",
            [&sampling](const std::vector<std::string>& texts) { sampling.dry.breakers = texts; },
            "No repetition reaches across this text; can be given several times [line feed : \" *]")
        ->option_text("TEXT")
        ->group(group)
        ->take_all();
    option("--repetition-penalty", sampling.repetition_penalty,
           "Make tokens of prompt and output less likely; 1: do not", "X")
        ->check(CLI::Range(0.01, 100.0));
    option("--presence-penalty", sampling.presence_penalty, "Taken off the logits of tokens in the output",
           "X")
        ->check(CLI::Range(-2.0, 2.0));
    option("--frequency-penalty", sampling.frequency_penalty, "The same, times their number there", "X")
        ->check(CLI::Range(-2.0, 2.0));
    option("--min-tokens", sampling.min_tokens, "Tokens to generate at the least", "N")
        ->check(CLI::Range(0U, 1U << 30));
    command
        .add_option_function<std::vector<std::string>>(
            "--logit-bias",
            [&sampling](const std::vector<std::string>& entries) {
                for (const std::string& entry : entries) sampling.logit_bias.push_back(parse_bias(entry));
            },
            "Add X to the logit of token ID; can be given several times")
        ->option_text("ID=X")
        ->group(group)
        ->take_all();
    option("--seed", sampling.seed, "The same seed gives the same text", "N");
    option("--stop", sampling.stop, "End before this text; can be given several times", "TEXT")->take_all();
    command.add_flag("--ignore-eos", sampling.ignore_eos, "Go on after the model's end token")->group(group);
}

}  // namespace troupe
