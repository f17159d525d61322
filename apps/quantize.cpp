// `troupe quantize`
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "apps/commands.hpp"
#include "apps/console.hpp"
#include "apps/model_source.hpp"
#include "conf/flags.hpp"
#include "conf/values.hpp"
#include "cpu/compute_pool.hpp"
#include "model/convert/plan_from_gguf.hpp"
#include "model/convert/plan_from_model.hpp"

namespace troupe {
namespace {

namespace fs = std::filesystem;

struct QuantizeFlags {
    ConfigFlags config;
    std::string in, out, type;
};

Result<ModelPlan> plan_of(const fs::path& in, DType type) {
    TypeChooser types(type);
    if (fs::is_directory(in)) {
        auto model = load_model(in);
        if (!model) return model.error();
        return plan_from_model(*std::move(model), in, types);
    }
    auto file = GgufFile::open(in);
    if (!file) return file.error();
    auto plan = plan_from_gguf(*file, types);
    if (!plan) return plan.error();
    return ModelPlan{*std::move(plan), {}};
}

Status refuse_input_as_output(const fs::path& in, const fs::path& out) {
    std::error_code error;
    if (!fs::exists(out, error) || !fs::equivalent(in, out, error)) return {};
    return invalid_argument(out.string() + " is the input itself; give another name for the output", "OUT");
}

int quantize(const QuantizeFlags& flags) {
    const auto config = flags.config.load();
    if (!config) return report(config.error());
    const auto type = parse_quantized_type(flags.type, "--type");
    if (!type) return report(type.error());
    const auto found = find_model_files(config->hub, flags.in);
    if (!found) return report(found.error());
    if (const Status s = refuse_input_as_output(found->path, flags.out); !s) return report(s.error());
    const auto conversion = plan_of(found->path, *type);
    if (!conversion) return report(conversion.error());
    ComputePool pool(config->engine.threads);
    ProgressBar bar("quantizing");
    const Status written = write_gguf(
        conversion->plan, flags.out,
        [&](std::size_t count, const std::function<void(std::size_t)>& body) {
            pool.run(count, [&](std::size_t index, unsigned) { body(index); });
        },
        [&](std::uint64_t done, std::uint64_t total) { bar.show(done, total); }, conversion->check);
    if (!written) return report(written.error());
    for (const std::string& note : conversion->plan.notes) std::fprintf(stderr, "%s\n", note.c_str());
    std::error_code error;
    std::printf("%s: %s in %s\n", flags.out.c_str(), dtype_name(*type),
                format_size(fs::file_size(flags.out, error)).c_str());
    return 0;
}

}  // namespace

Command quantize_command(CLI::App& program) {
    CLI::App* parser = program.add_subcommand("quantize", "Write a model as a quantized GGUF file");
    const auto flags = std::make_shared<QuantizeFlags>();
    parser->add_option("IN", flags->in, "A GGUF file, a Hugging Face directory, or ORG/NAME on the hub")
        ->required();
    parser->add_option("OUT", flags->out, "The GGUF file to write")->required();
    parser->add_option("--type", flags->type, "q8_0, q4_0, q4_1 or q4_k")->option_text("TYPE")->required();
    flags->config.add_to(*parser, {"--threads"});
    parser->footer(
        "Norms, biases and routers stay in float32, embedding and output become Q8_0. Matrices whose rows "
        "do\n"
        "not divide into the type's blocks become another type, which is said. A file that is already there\n"
        "is replaced when the new one is whole.\n");
    return {parser, [flags] { return quantize(*flags); }};
}

}  // namespace troupe
