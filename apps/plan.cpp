// `troupe plan`: roofline arithmetic for a model and hardware.
#include <CLI/CLI.hpp>
#include <memory>

#include "apps/commands.hpp"
#include "apps/console.hpp"
#include "apps/flag_group.hpp"
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

void add_flags(CLI::App& parser, PlanFlags& flags) {
    parser.footer(examples);
    FlagGroup model(parser, "Model");
    model.add("--model", flags.model, "MODEL",
              "A GGUF file, a Hugging Face directory, or a name such as llama-3-8b");
    model.add("--params", flags.params, "N", "Parameters: 7e9, 7B");
    model.add("--active-params", flags.active_params, "N",
              "Of a mixture of experts: those of one token; b tokens read b times as many at most [all]");
    model.add("--weight-dtype", flags.weight_dtype, "TYPE",
              "f16, f8, int8, int4, q4_k, ... [a file's own; f16 of a name]");
    model.add("--weights-per-gpu", flags.weights_per_gpu, "SIZE",
              "Weights on each device, if not parameters times type");
    model.add("--layers", flags.layers, "N", "Layers");
    model.add("--heads", flags.heads, "N", "Attention heads");
    model.add("--kv-heads", flags.kv_heads, "N", "KV heads");
    model.add("--head-dim", flags.head_dim, "N", "Elements of a head");
    model.add("--hidden-size", flags.hidden, "N", "Elements of a token's hidden state");
    model.add("--kv-dtype", flags.kv_dtype, "TYPE", "Of keys and values [f16 with --model]");
    FlagGroup devices(parser, "Devices");
    devices.add("--device", flags.device, "NAME",
                device_names() + ": gives memory, bandwidth, operations and links");
    devices.add("--gpus", flags.gpus, "N", "Devices that share the model [1]");
    devices.add("--tp", flags.tensor, "N", "Of them divide each matrix [all]");
    devices.add("--pp", flags.pipeline, "N", "Stages of layers [1]");
    devices.add("--gpu-memory", flags.gpu_memory, "SIZE", "Of one device: 80GB");
    devices.add("--bandwidth", flags.bandwidth, "RATE", "Of one device's memory: 2TB/s");
    devices.add("--flops", flags.flops, "RATE", "Operations per second of one device: 989TFLOPS");
    FlagGroup request(parser, "Request");
    request.add("--tpot", flags.tpot, "TIME", "Time per output token at most: 50ms");
    request.add("--context", flags.context, "N", "Tokens of each sequence [a table]");
    FlagGroup disaggregation(parser, "Disaggregation");
    disaggregation.add("--link", flags.links, "RATE ...",
                       "Between prefill and decode devices, of one device: 50GB/s, 400Gbit/s [several]");
    disaggregation.add("--prompt-len", flags.prompts, "N ...", "Tokens of prompts [several]");
    disaggregation.add("--output-len", flags.outputs, "N ...", "Tokens generated [several]");
    disaggregation.add("--batch", flags.batch, "N",
                       "Sequences that decode together [those that bring one chunk for every step]");
    disaggregation.add("--chunk", flags.chunk, "N", "Tokens of a prompt in a mixed step [512]");
    disaggregation.add("--handshake", flags.handshake, "TIME", "Of a transfer [1ms]");
    disaggregation.add("--queueing-saved", flags.queueing_saved, "TIME",
                       "By prefill devices of their own, for each request [none]");
    FlagGroup report(parser, "Report");
    report.add_switch("--json", flags.json, "Print JSON instead of tables");
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
