// `troupe render`
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <memory>

#include "apps/commands.hpp"
#include "apps/console.hpp"
#include "model/jinja/template.hpp"

namespace troupe {
namespace {

struct RenderFlags {
    std::string template_file, input_file, now;
};

jinja::CivilTime local_time_now() {
    const auto now = std::chrono::system_clock::now();
    const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
    std::tm local{};
    ::localtime_r(&seconds, &local);
    return jinja::CivilTime(std::chrono::seconds(::timegm(&local)));
}

int render(const RenderFlags& flags) {
    auto source = read_text(flags.template_file);
    if (!source) return report(source.error());
    const auto variables = read_text(flags.input_file);
    if (!variables) return report(variables.error());
    jinja::RenderOptions options;
    options.now = local_time_now();
    if (!flags.now.empty()) {
        const auto now = jinja::parse_civil_time(flags.now);
        if (!now) return report(invalid_argument("--now: " + now.error().message, "--now"));
        options.now = *now;
    }
    const auto text = jinja::render_template(*std::move(source), *variables, options);
    if (!text) {
        report(text.error());
        return exit_failure;
    }
    std::fwrite(text->data(), 1, text->size(), stdout);
    return 0;
}

}  // namespace

Command render_command(CLI::App& program) {
    CLI::App* parser =
        program.add_subcommand("render", "Print what a Jinja chat template makes of some variables");
    const auto flags = std::make_shared<RenderFlags>();
    parser->add_option("--template", flags->template_file, "The template; '-' is the standard input")
        ->option_text("FILE")
        ->required();
    parser
        ->add_option("--input", flags->input_file, "A JSON object: the variables, such as messages and tools")
        ->option_text("FILE")
        ->required();
    parser->add_option("--now", flags->now, "What strftime_now tells [the local time]")
        ->option_text("2026-01-15T12:34:56");
    parser->footer(
        "The text is printed as it is, without a newline of its own. Errors name the line and exit with "
        "1.\n");
    return {parser, [flags] { return render(*flags); }};
}

}  // namespace troupe
