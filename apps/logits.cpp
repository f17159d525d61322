// `troupe logits`
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>

#include "apps/commands.hpp"
#include "apps/console.hpp"
#include "apps/model_setup.hpp"
#include "apps/token_ids.hpp"
#include "conf/flags.hpp"
#include "cpu/backend.hpp"
#include "model/sequence_batch.hpp"
#include "net/json_writer.hpp"

namespace troupe {
namespace {

struct LogitsFlags {
    ConfigFlags config;
    std::string ids;
};

int logits(const LogitsFlags& flags) {
    const auto config = flags.config.load();
    if (!config) return report(config.error());
    const auto source = only_model(*config);
    if (!source) return report(source.error());
    const auto pool = std::make_shared<ComputePool>(config->engine.threads);
    const auto model = set_up_model(*config, *source, *pool);
    if (!model) return report(model.error());
    const ModelSpec& spec = model->loaded->spec;
    const auto ids = parse_ids(flags.ids, spec.vocab_size);
    if (!ids) return report(ids.error());
    if (ids->size() > spec.max_position) {
        return report(invalid_argument("--ids: " + std::to_string(ids->size()) +
                                           " tokens are more than the model's " +
                                           std::to_string(spec.max_position),
                                       "--ids"));
    }
    const std::size_t block_size = config->engine.block_size;
    const ForwardBatch batch = sequence_batch(*ids, 0, block_size, {});
    const BackendFactory factory =
        make_cpu_backend_factory(model->cpu, pool, batch.block_tables.size(), block_size);
    ForwardOutput output;
    const auto backend = factory.make_backend(factory.make_pool());
    backend->execute(batch, output);

    if (!std::all_of(output.logits, output.logits + spec.vocab_size,
                     [](float x) { return std::isfinite(x); }))
        return report(internal_error("The model produced logits that are not finite for these tokens."));

    net::JsonWriter json;
    json.begin_object().key("logits").begin_array();
    for (std::uint32_t i = 0; i < spec.vocab_size; ++i) json.value(output.logits[i]);
    std::puts(json.end_array().end_object().text().c_str());
    return 0;
}

}  // namespace

Command logits_command(CLI::App& program) {
    CLI::App* parser = program.add_subcommand("logits", "Print the logits that follow some tokens, as JSON");
    const auto flags = std::make_shared<LogitsFlags>();
    parser->add_option("--ids", flags->ids, "The tokens")->option_text("1,2,3")->required();
    flags->config.add_to(*parser, {"--model", "--compute", "--kv-dtype", "--quantize", "--threads"});
    parser->footer("Prints {\"logits\": [...]}, one number for each entry of the vocabulary.\n");
    return {parser, [flags] { return logits(*flags); }};
}

}  // namespace troupe
