#include "apps/plan_report.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "net/json_writer.hpp"

namespace troupe {
namespace {

template <class... Values>
std::string format(const char* pattern, Values... values) {
    std::array<char, 240> line{};
    std::snprintf(line.data(), line.size(), pattern, values...);
    return line.data();
}

double rounded(double value, int digits) {
    const double factor = std::pow(10.0, digits);
    return std::round(value * factor) / factor;
}
double milliseconds(double seconds) { return rounded(seconds * 1e3, 3); }
std::uint64_t whole(double value) {
    return static_cast<std::uint64_t>(std::llround(std::floor(value * (1 + 1e-12))));
}
unsigned long long wide(std::uint64_t value) { return value; }

std::vector<double> contexts_of(const PlanInput& plan) {
    if (plan.context) return {*plan.context};
    std::vector<double> contexts;
    const double longest = plan.shape.max_context > 0 ? plan.shape.max_context : 131072;
    for (double context = 512; context <= longest; context *= 2) contexts.push_back(context);
    if (contexts.empty()) contexts.push_back(longest);
    return contexts;
}

// For what is said of one context when none was given.
double usual_context(const PlanInput& plan) {
    if (plan.context) return *plan.context;
    return plan.shape.max_context > 0 ? std::min(2048.0, static_cast<double>(plan.shape.max_context))
                                      : 2048.0;
}

double single_stream(const PlanInput& plan, Parallelism parallel) {
    return 1 / (streamed_bytes(plan.shape, 1) / parallel.tensor / plan.device.bandwidth);
}

bool weights_fit(const PlanInput& plan) {
    return weight_bytes_per_device(plan.shape, plan.parallel) < plan.device.memory_bytes;
}

struct BatchRow {
    double context = 0;
    MaxBatch most;
    double step_seconds = 0;  // 0: no batch
};
BatchRow batch_row(const PlanInput& plan, Parallelism parallel, double context) {
    BatchRow row{context, max_batch(plan.shape, plan.device, parallel, context, plan.tpot_seconds), 0};
    if (row.most.batch > 0) {
        row.step_seconds =
            decode_seconds(plan.shape, plan.device, parallel, static_cast<double>(row.most.batch), context);
    }
    return row;
}
double throughput(const BatchRow& row) {
    return row.step_seconds > 0 ? static_cast<double>(row.most.batch) / row.step_seconds : 0;
}

// Without --batch the batch that has a chunk of some prompt in every step: in steady state output / batch
// steps pass for each request, and it takes prompt / chunk of them. As far as memory and --tpot allow.
DisaggregationCase disaggregation_case(const PlanInput& plan, double prompt, double output, double link) {
    DisaggregationCase c = plan.disaggregation;
    c.prompt = prompt;
    c.output = output;
    c.link_bandwidth = link;
    if (c.batch > 0) return c;
    double most = 32;  // when memory is not known
    if (plan.knows_batches) {
        most = static_cast<double>(
            max_batch(plan.shape, plan.device, plan.parallel, prompt + output, plan.tpot_seconds).batch);
    }
    c.batch = std::clamp(std::floor(output * std::min(c.chunk, prompt) / prompt), 1.0, std::max(most, 1.0));
    return c;
}

// JSON
// ------------------------------------------------------------------------------------------------------------

void write_batch(net::JsonWriter& json, const BatchRow& row) {
    json.field("context", whole(row.context));
    json.field("max_batch", row.most.batch).field("binding", binding_name(row.most.binding));
    json.key("limits").begin_object().field("memory", row.most.by_memory);
    json.key("bandwidth");
    row.most.by_bandwidth ? json.value(*row.most.by_bandwidth) : json.value(nullptr);
    json.key("compute");
    row.most.by_compute ? json.value(*row.most.by_compute) : json.value(nullptr);
    json.end_object();
    json.field("step_ms", milliseconds(row.step_seconds));
    json.field("tokens_per_second", rounded(throughput(row), 1));
}

void write_choices(net::JsonWriter& json, const PlanInput& plan) {
    json.key("parallel_choices").begin_array();
    for (const Parallelism choice : parallel_choices(plan.shape, plan.parallel.devices())) {
        const BatchRow row = batch_row(plan, choice, usual_context(plan));
        json.begin_object().field("tp", choice.tensor).field("pp", choice.pipeline);
        json.field("weight_bytes_per_gpu", whole(weight_bytes_per_device(plan.shape, choice)));
        json.field("kv_bytes_per_token_per_gpu", kv_bytes_per_token_per_device(plan.shape, choice));
        json.field("decode_tokens_per_second_max", rounded(single_stream(plan, choice), 1));
        write_batch(json, row);
        json.field("communication_ms",
                   milliseconds(communication_seconds(plan.shape, plan.device, choice,
                                                      static_cast<double>(row.most.batch))));
        json.end_object();
    }
    json.end_array();
}

void write_disaggregation(net::JsonWriter& json, const PlanInput& plan) {
    json.key("disaggregation").begin_object();
    json.field("hiding_link_bytes_per_second",
               whole(hiding_link_bandwidth(plan.shape, plan.device, plan.parallel)));
    json.key("cases").begin_array();
    for (const double link : plan.links) {
        for (const double prompt : plan.prompts) {
            for (const double output : plan.outputs) {
                const auto c = disaggregation_case(plan, prompt, output, link);
                const auto d = disaggregation(plan.shape, plan.device, plan.parallel, c);
                json.begin_object().field("link_bytes_per_second", link).field("prompt", whole(prompt));
                json.field("output", whole(output)).field("batch", whole(c.batch));
                json.field("prefill_ms", milliseconds(d.prefill_seconds));
                json.field("transfer_ms", milliseconds(d.transfer_seconds));
                json.field("exposed_ms", milliseconds(d.exposed_seconds));
                json.field("tpot_pure_ms", milliseconds(d.tpot_pure_seconds));
                json.field("tpot_chunked_ms", milliseconds(d.tpot_chunked_seconds));
                json.field("gain_ms", milliseconds(d.gain_seconds)).field("pays", d.pays).end_object();
            }
        }
    }
    json.end_array().end_object();
}

// Table
// ------------------------------------------------------------------------------------------------------------

std::string bytes_text(double bytes) {
    const char* units[] = {"B", "kB", "MB", "GB", "TB"};
    int unit = 0;
    for (; bytes >= 1000 && unit < 4; ++unit) bytes /= 1000;
    return format("%.4g %s", bytes, units[unit]);
}

std::string line(const char* name, const std::string& value) {
    return format("%-44s %s\n", name, value.c_str());
}

std::string batch_table(const PlanInput& plan) {
    std::string text =
        format("\n%10s %10s  %-10s %10s %14s\n", "context", "max batch", "binding", "step (ms)", "tokens/s");
    for (const double context : contexts_of(plan)) {
        const BatchRow row = batch_row(plan, plan.parallel, context);
        text += format("%10llu %10llu  %-10s %10.2f %14.1f\n", wide(whole(context)), wide(row.most.batch),
                       binding_name(row.most.binding), row.step_seconds * 1e3, throughput(row));
    }
    return text;
}

std::string choices_table(const PlanInput& plan) {
    std::string text = format(
        "\nWays to divide it among %u devices, at a context of %llu tokens\n%4s %4s %14s %14s %10s %12s %14s "
        "%12s\n",
        plan.parallel.devices(), wide(whole(usual_context(plan))), "TP", "PP", "weights each", "alone tok/s",
        "max batch", "step (ms)", "tokens/s", "messages ms");
    for (const Parallelism choice : parallel_choices(plan.shape, plan.parallel.devices())) {
        const BatchRow row = batch_row(plan, choice, usual_context(plan));
        const double messages =
            communication_seconds(plan.shape, plan.device, choice, static_cast<double>(row.most.batch));
        text += format("%4u %4u %14s %14.1f %10llu %12.2f %14.1f %12.2f\n", choice.tensor, choice.pipeline,
                       bytes_text(weight_bytes_per_device(plan.shape, choice)).c_str(),
                       single_stream(plan, choice), wide(row.most.batch), row.step_seconds * 1e3,
                       throughput(row), messages * 1e3);
    }
    return text;
}

std::string disaggregation_table(const PlanInput& plan) {
    std::string text =
        "\nPrefill and decode on different devices: + pays, - does not (exposed / gained ms)\n";
    text += line("the link hides behind prefill from",
                 bytes_text(hiding_link_bandwidth(plan.shape, plan.device, plan.parallel)) + "/s on");
    text += format("%10s %8s", "prompt", "output");
    for (const double link : plan.links) text += format(" %22s", (bytes_text(link) + "/s").c_str());
    text += "\n";
    for (const double prompt : plan.prompts) {
        for (const double output : plan.outputs) {
            text += format("%10llu %8llu", wide(whole(prompt)), wide(whole(output)));
            for (const double link : plan.links) {
                const auto d = disaggregation(plan.shape, plan.device, plan.parallel,
                                              disaggregation_case(plan, prompt, output, link));
                text += format(" %22s", format("%c %.1f / %.1f", d.pays ? '+' : '-', d.exposed_seconds * 1e3,
                                               d.gain_seconds * 1e3)
                                            .c_str());
            }
            text += "\n";
        }
    }
    return text;
}

}  // namespace

std::string plan_json(const PlanInput& plan) {
    const ModelShape& shape = plan.shape;
    net::JsonWriter json;
    json.begin_object();
    if (!shape.name.empty()) json.field("model", shape.name);
    if (!plan.device.name.empty()) json.field("device", plan.device.name);
    json.field("gpus", plan.parallel.devices())
        .field("tp", plan.parallel.tensor)
        .field("pp", plan.parallel.pipeline);
    json.field("weight_bytes", whole(shape.weight_bytes));
    json.field("weight_bytes_per_gpu", whole(weight_bytes_per_device(shape, plan.parallel)));
    json.field("bytes_per_token", whole(streamed_bytes(shape, 1)));
    json.field("decode_tokens_per_second_max", rounded(single_stream(plan, plan.parallel), 1));
    if (shape.knows_kv()) {
        json.field("kv_bytes_per_token", shape.kv_bytes_per_token());
        json.field("kv_bytes_per_token_per_gpu", kv_bytes_per_token_per_device(shape, plan.parallel));
    }
    if (plan.tpot_seconds) json.field("tpot_ms", milliseconds(*plan.tpot_seconds));
    if (plan.knows_batches) {
        json.field("weights_fit", weights_fit(plan));
        json.field("kv_capacity_tokens", whole(kv_capacity_tokens(shape, plan.device, plan.parallel)));
        if (plan.context) {
            write_batch(json, batch_row(plan, plan.parallel, *plan.context));
        } else {
            json.key("contexts").begin_array();
            for (const double context : contexts_of(plan)) {
                json.begin_object();
                write_batch(json, batch_row(plan, plan.parallel, context));
                json.end_object();
            }
            json.end_array();
        }
        write_choices(json, plan);
    }
    if (plan.knows_disaggregation) write_disaggregation(json, plan);
    return json.end_object().take();
}

std::string plan_table(const PlanInput& plan) {
    const ModelShape& shape = plan.shape;
    std::string text;
    if (!shape.name.empty()) text += line("model", shape.name);
    text += line("weights", bytes_text(shape.weight_bytes));
    text += line("weights on each device", bytes_text(weight_bytes_per_device(shape, plan.parallel)));
    text += line("weights read for a token alone", bytes_text(streamed_bytes(shape, 1)));
    if (shape.knows_kv()) text += line("KV of a token", bytes_text(shape.kv_bytes_per_token()));
    text +=
        line("tokens per second of one stream, at most", format("%.1f", single_stream(plan, plan.parallel)));
    if (!plan.knows_batches) return text + (plan.knows_disaggregation ? disaggregation_table(plan) : "");
    const double capacity = kv_capacity_tokens(shape, plan.device, plan.parallel);
    text += line("tokens whose KV fits beside the weights", format("%.0f", std::floor(capacity)));
    if (plan.tpot_seconds)
        text += line("time per output token, at most", format("%.4g ms", *plan.tpot_seconds * 1e3));
    if (!weights_fit(plan)) text += "the weights do not fit: take more --gpus or a smaller --weight-dtype\n";
    text += batch_table(plan);
    if (plan.parallel.devices() > 1) text += choices_table(plan);
    if (plan.knows_disaggregation) text += disaggregation_table(plan);
    return text;
}

}  // namespace troupe
