// `troupe plan`: roofline arithmetic for a model and hardware.
#include <CLI/CLI.hpp>
#include <memory>

#include "apps/commands.hpp"
#include "apps/console.hpp"
#include "apps/plan_input.hpp"
#include "apps/plan_report.hpp"
#include "engine/device_numbers.hpp"

namespace troupe {
namespace {

constexpr const char* examples = R"(Examples:
  troupe plan --model llama-3-8b --device h100 --tpot 50ms
  troupe plan --model llama.gguf --bandwidth 60GB/s --gpu-memory 16GB
  troupe plan --params 7e9 --weight-dtype f16 --bandwidth 2TB/s
  troupe plan --params 70e9 --layers 80 --kv-heads 8 --head-dim 128 --kv-dtype f16 --gpus 8 --gpu-memory 80GB \
    --weights-per-gpu 17.5GB --bandwidth 2TB/s --tpot 50ms --context 2048 --json

A step reads each weight once and each sequence's KV: max(weights / bandwidth, operations / rate) + KV / bandwidth.
Nothing is measured and nothing is lost to launches, so these are limits, not promises. docs/simulation.md has the
formulas.
)";

void add(CLI::App& parser, const char* group, const char* flag, std::string& place, const char* value,
         const std::string& text) {
    parser.add_option(flag, place, text)->option_text(value)->group(group);
}

void add_flags(CLI::App& parser, PlanFlags& flags) {
    parser.footer(examples);
    add(parser, "Model", "--model", flags.model, "MODEL",
        "A GGUF file, a Hugging Face directory, or a name such as llama-3-8b");
    add(parser, "Model", "--params", flags.params, "N", "Parameters: 7e9, 7B");
    add(parser, "Model", "--active-params", flags.active_params, "N",
        "Of a mixture of experts: those of one token [all]");
    add(parser, "Model", "--weight-dtype", flags.weight_dtype, "TYPE",
        "f16, f8, int8, int4, q4_k, ... [a file's own; f16 of a name]");
    add(parser, "Model", "--weights-per-gpu", flags.weights_per_gpu, "SIZE",
        "Weights on each device, if not parameters times type");
    add(parser, "Model", "--layers", flags.layers, "N", "Layers");
    add(parser, "Model", "--heads", flags.heads, "N", "Attention heads");
    add(parser, "Model", "--kv-heads", flags.kv_heads, "N", "KV heads");
    add(parser, "Model", "--head-dim", flags.head_dim, "N", "Elements of a head");
    add(parser, "Model", "--hidden-size", flags.hidden, "N", "Elements of a token's hidden state");
    add(parser, "Model", "--kv-dtype", flags.kv_dtype, "TYPE", "Of keys and values [f16 with --model]");

    add(parser, "Devices", "--device", flags.device, "NAME",
        device_names() + ": gives memory, bandwidth, operations and links");
    add(parser, "Devices", "--gpus", flags.gpus, "N", "Devices that share the model [1]");
    add(parser, "Devices", "--tp", flags.tensor, "N", "Of them divide each matrix [all]");
    add(parser, "Devices", "--pp", flags.pipeline, "N", "Stages of layers [1]");
    add(parser, "Devices", "--gpu-memory", flags.gpu_memory, "SIZE", "Of one device: 80GB");
    add(parser, "Devices", "--bandwidth", flags.bandwidth, "RATE", "Of one device's memory: 2TB/s");
    add(parser, "Devices", "--flops", flags.flops, "RATE", "Operations per second of one device: 989TFLOPS");

    add(parser, "Request", "--tpot", flags.tpot, "TIME", "Time per output token at most: 50ms");
    add(parser, "Request", "--context", flags.context, "N", "Tokens of each sequence [a table]");
    parser
        .add_option("--link", flags.links,
                    "Between prefill and decode devices, of one device: 50GB/s, 400Gbit/s [several]")
        ->option_text("RATE ...")
        ->group("Disaggregation");
    parser.add_option("--prompt-len", flags.prompts, "Tokens of prompts [several]")
        ->option_text("N ...")
        ->group("Disaggregation");
    parser.add_option("--output-len", flags.outputs, "Tokens generated [several]")
        ->option_text("N ...")
        ->group("Disaggregation");
    add(parser, "Disaggregation", "--batch", flags.batch, "N",
        "Sequences that decode together [what fits, at most 32]");
    add(parser, "Disaggregation", "--chunk", flags.chunk, "N", "Tokens of a prompt in a mixed step [512]");
    add(parser, "Disaggregation", "--handshake", flags.handshake, "TIME", "Of a transfer [1ms]");
    add(parser, "Disaggregation", "--queueing-saved", flags.queueing_saved, "TIME",
        "By prefill devices of their own, for each request [none]");
    parser.add_flag("--json", flags.json, "Print JSON instead of tables")->group("Report");
}

int plan(const PlanFlags& flags) {
    const auto input = read_plan(flags);
    if (!input) return report(input.error());
    print(flags.json ? plan_json(*input) + "\n" : plan_table(*input));
    return 0;
}

}  // namespace

Command plan_command(CLI::App& program) {
    CLI::App* parser =
        program.add_subcommand("plan", "What a model can reach on given hardware, by roofline arithmetic");
    const auto flags = std::make_shared<PlanFlags>();
    add_flags(*parser, *flags);
    return {parser, [flags] { return plan(*flags); }};
}

}  // namespace troupe
