// `troupe tokenize`
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "apps/commands.hpp"
#include "apps/console.hpp"
#include "apps/model_setup.hpp"
#include "apps/model_source.hpp"
#include "conf/flags.hpp"
#include "model/tokenizer/tokenizer.hpp"

namespace troupe {
namespace {

struct TokenizeFlags {
    ConfigFlags config;
    std::string file, text;
    bool special = false;
};

int tokenize(const TokenizeFlags& flags) {
    const auto config = flags.config.load();
    if (!config) return report(config.error());
    const auto source = only_model(*config);
    if (!source) return report(source.error());
    const auto model = find_model_files(config->hub, source->source);
    if (!model) return report(model.error());
    const auto tokenizer = load_tokenizer(model->path);
    if (!tokenizer) return report(tokenizer.error());
    Result<std::string> text = flags.text;
    if (!flags.file.empty()) text = read_text(flags.file);
    if (!text) return report(text.error());
    const auto ids =
        (*tokenizer)->encode(*text, {.parse_special = flags.special, .add_special = flags.special});
    if (!ids) return report(ids.error());
    std::string line;
    for (const TokenId id : *ids) line += (line.empty() ? "" : " ") + std::to_string(id);
    std::puts(line.c_str());
    return 0;
}

}  // namespace

Command tokenize_command(CLI::App& program) {
    CLI::App* parser = program.add_subcommand("tokenize", "Print the token ids of a text, on one line");
    const auto flags = std::make_shared<TokenizeFlags>();
    auto* file =
        parser->add_option("--file", flags->file, "The text is in this file; '-' is the standard input")
            ->option_text("FILE");
    auto* text = parser->add_option("text", flags->text, "The text itself")->option_text("TEXT");
    parser->add_flag(
        "--special", flags->special,
        "The text of special tokens becomes those tokens, and what the model adds around a text is added");
    file->excludes(text);
    flags->config.add_to(*parser, {"--model"});
    parser->footer(
        "A GGUF file with only a vocabulary will do.\n"
        "Examples:\n  troupe tokenize \"Hello world\"\n  troupe tokenize --model vocab.gguf --file "
        "book.txt\n");
    return {parser, [flags, file, text] {
                if (file->count() + text->count() == 0) {
                    return report(invalid_argument("tokenize needs a text: give one, or --file FILE"));
                }
                return tokenize(*flags);
            }};
}

}  // namespace troupe
