// `troupe perplexity`
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <memory>
#include <new>

#include "apps/commands.hpp"
#include "apps/console.hpp"
#include "apps/model_setup.hpp"
#include "apps/text_evaluation.hpp"
#include "conf/flags.hpp"
#include "net/json_writer.hpp"

namespace troupe {
namespace {

struct PerplexityFlags {
    ConfigFlags config;
    std::string file, reference;
    std::uint32_t ctx_size = 512, chunks = 0;
    bool json = false;
};

constexpr const char* same_model = "self";

// The reference's configuration: exact arithmetic, whatever the model's is.
Config exact(Config config) {
    config.model.compute = ComputeType::f32;
    config.model.kv_dtype = KvDType::automatic;
    config.model.quantize = QuantizeType::none;
    return config;
}

Status check_models(const PerplexityFlags& flags, const ReadyModel& model, const ReadyModel* reference) {
    if (!model.loaded->tokenizer)
        return invalid_argument("--model: " + model.path + " has no tokenizer", "--model");
    for (const ReadyModel* one : {&model, reference}) {
        if (!one || flags.ctx_size <= one->loaded->spec.max_position) continue;
        return invalid_argument("--ctx-size: " + std::to_string(flags.ctx_size) + " is more than the " +
                                    std::to_string(one->loaded->spec.max_position) + " tokens of " +
                                    one->path,
                                "--ctx-size");
    }
    if (reference && reference->loaded->spec.vocab_size != model.loaded->spec.vocab_size)
        return invalid_argument("--kl-against: the models have vocabularies of different sizes",
                                "--kl-against");
    return {};
}

void print_json(const Evaluation& result, std::size_t chunks, bool reference) {
    net::JsonWriter json;
    json.begin_object().field("perplexity", result.perplexity());
    json.field("perplexity_error", result.perplexity_error());
    json.field("tokens", std::uint64_t{result.tokens}).field("chunks", std::uint64_t{chunks});
    if (reference) {
        json.field("reference_perplexity", result.reference_perplexity());
        json.field("mean_kl", result.mean_kl()).field("largest_kl", result.largest_kl);
        json.field("top1_agreement", result.top_agreement());
    }
    std::puts(json.end_object().text().c_str());
}

void print_text(const Evaluation& result, std::size_t chunks, bool reference) {
    std::printf("perplexity %.4f +- %.4f over %zu tokens of %zu chunks\n", result.perplexity(),
                result.perplexity_error(), result.tokens, chunks);
    if (!reference) return;
    std::printf(
        "reference  %.4f\nKL divergence %.6f in the mean, %.4f at the most\ntop-1 agreement %.2f %%\n",
        result.reference_perplexity(), result.mean_kl(), result.largest_kl, 100 * result.top_agreement());
}

int perplexity(const PerplexityFlags& flags) {
    const auto config = flags.config.load();
    if (!config) return report(config.error());
    const auto source = only_model(*config);
    if (!source) return report(source.error());
    const auto text = read_text(flags.file);
    if (!text) return report(text.error());
    const auto pool = std::make_shared<ComputePool>(config->engine.threads);
    const auto model = set_up_model(*config, *source, *pool);
    if (!model) return report(model.error());
    std::unique_ptr<const ReadyModel> other;
    if (!flags.reference.empty()) {
        const ModelSource wanted = flags.reference == same_model ? *source : ModelSource{{}, flags.reference};
        auto ready = set_up_model(exact(*config), wanted, *pool);
        if (!ready) return report(ready.error());
        other = std::make_unique<const ReadyModel>(*std::move(ready));
    }
    if (const Status s = check_models(flags, *model, other.get()); !s) return report(s.error());
    const auto chunks = text_chunks(*model->loaded->tokenizer, *text, flags.ctx_size, flags.chunks);
    if (!chunks) return report(chunks.error());

    Evaluation result;
    try {
        Predictor predictor(model->cpu, pool, flags.ctx_size);
        std::unique_ptr<Predictor> reference;
        if (other) reference = std::make_unique<Predictor>(other->cpu, pool, flags.ctx_size);
        ProgressBar bar("evaluating");
        for (std::size_t i = 0; i < chunks->size(); ++i) {
            evaluate_chunk((*chunks)[i], predictor, reference.get(), *pool, result);
            bar.show(i + 1, chunks->size());
        }
    } catch (const std::bad_alloc&) {
        return report(
            Error{ErrorCode::resource_exhausted,
                  "there is not enough memory for the logits or the KV cache; take a smaller --ctx-size",
                  "--ctx-size",
                  {}});
    }
    if (!std::isfinite(result.nll))
        return report(internal_error("The model produced logits that are not finite for this text."));
    flags.json ? print_json(result, chunks->size(), other != nullptr)
               : print_text(result, chunks->size(), other != nullptr);
    return 0;
}

}  // namespace

Command perplexity_command(CLI::App& program) {
    CLI::App* parser = program.add_subcommand(
        "perplexity", "Measure how well a model predicts a text, and how far it is from a reference");
    const auto flags = std::make_shared<PerplexityFlags>();
    parser->add_option("TEXTFILE", flags->file, "The text; '-' is the standard input")->required();
    parser->add_option("--ctx-size", flags->ctx_size, "Tokens of a chunk [512]")
        ->option_text("N")
        ->check(CLI::Range(4U, 1U << 20));
    parser->add_option("--chunks", flags->chunks, "At most so many chunks [all]")->option_text("N");
    parser
        ->add_option("--kl-against", flags->reference,
                     "Compare with this model in --compute f32; 'self': with the model itself")
        ->option_text("MODEL");
    parser->add_flag("--json", flags->json, "Print JSON");
    flags->config.add_to(*parser, {"--model", "--compute", "--kv-dtype", "--quantize", "--threads"});
    parser->footer(
        "Perplexity as llama.cpp defines it: the text in chunks of --ctx-size tokens, each by itself; the "
        "tokens\n"
        "of each one's second half count, but for the first of them.\n"
        "Examples:\n"
        "  troupe perplexity book.txt --chunks 20\n"
        "  troupe perplexity --kl-against self --kv-dtype int8 book.txt\n");
    return {parser, [flags] { return perplexity(*flags); }};
}

}  // namespace troupe
