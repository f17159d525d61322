#include "apps/simulation_report.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <functional>

#include "apps/fairness.hpp"
#include "net/json_writer.hpp"

namespace troupe {
namespace {

constexpr double us_per_ms = 1e3, us_per_s = 1e6, joules_per_kwh = 3.6e6, seconds_per_hour = 3600;

template <class... Values>
std::string format(const char* pattern, Values... values) {
    std::array<char, 200> line{};
    std::snprintf(line.data(), line.size(), pattern, values...);
    return line.data();
}

double ms(TimeUs us) { return static_cast<double>(us) / us_per_ms; }
double ttft_ms(const RequestOutcome& r) { return ms(r.first_token - r.arrival); }
double e2el_ms(const RequestOutcome& r) { return ms(r.last_token - r.arrival); }
std::optional<double> tpot_ms(const RequestOutcome& r) {
    if (r.output_tokens < 2) return std::nullopt;
    return ms(r.last_token - r.first_token) / (r.output_tokens - 1);
}

bool meets(const RequestOutcome& r, const BenchObjectives& objectives) {
    const auto tpot = tpot_ms(r);
    return r.served && (!objectives.ttft || ttft_ms(r) <= *objectives.ttft) &&
           (!objectives.tpot || !tpot || *tpot <= *objectives.tpot) &&
           (!objectives.e2el || e2el_ms(r) <= *objectives.e2el);
}

Distribution distribution_of(const DurationHistogram& histogram) {
    Distribution d;
    d.count = histogram.count();
    d.mean = histogram.mean_us() / us_per_ms;
    d.p50 = histogram.percentile_us(50) / us_per_ms;
    d.p90 = histogram.percentile_us(90) / us_per_ms;
    d.p99 = histogram.percentile_us(99) / us_per_ms;
    return d;
}

double mean_kv_usage(const Timeline& timeline, double replica_us) {
    double sum = 0;
    for (const Timeline::Values& span : timeline.spans()) sum += span[Timeline::kv_used];
    return replica_us > 0 ? sum / replica_us : 0;
}

void add_prices(SimulationReport& report, double busy_us, double replica_us, std::uint32_t num_replicas,
                const DevicePrices& prices) {
    if (report.output_tokens == 0) return;
    const auto tokens = static_cast<double>(report.output_tokens);
    const double each = static_cast<double>(prices.devices) / num_replicas;  // devices of a replica
    const double busy = each * busy_us / us_per_s, idle = each * (replica_us - busy_us) / us_per_s;
    const double joules = prices.watts * (busy + idle_share * idle);
    if (prices.watts > 0) report.joules_per_token = joules / tokens;
    if (prices.per_hour <= 0 && prices.per_kwh <= 0) return;
    const double hours = (busy + idle) / seconds_per_hour;
    const double cost = hours * prices.per_hour + joules / joules_per_kwh * prices.per_kwh;
    report.cost_per_million = cost / tokens * 1e6;
}

double per_second(double amount, double seconds) { return seconds > 0 ? amount / seconds : 0; }

// A line of the table: a name, and what each report says.
struct Line {
    const char* name;
    std::function<std::string(const SimulationReport&)> value;
};

std::string percent(double share) { return format("%.1f %%", share * 100); }
std::string optional(const std::optional<double>& value, const char* pattern) {
    return value ? format(pattern, *value) : "";
}

std::vector<Line> lines_of_table() {
    using R = SimulationReport;
    std::vector<Line> lines = {
        {"Completed requests", [](const R& r) { return format("%zu", r.completed); }},
        {"Refused requests", [](const R& r) { return format("%zu", r.refused); }},
        {"  of them shed by the policy",
         [](const R& r) { return format("%llu", static_cast<unsigned long long>(r.shed)); }},
        {"Cut at max_model_len", [](const R& r) { return format("%zu", r.truncated); }},
        {"Duration (s)", [](const R& r) { return format("%.2f", r.duration); }},
        {"Requests/s",
         [](const R& r) { return format("%.3f", per_second(static_cast<double>(r.completed), r.duration)); }},
        {"Output tokens/s",
         [](const R& r) {
             return format("%.1f", per_second(static_cast<double>(r.output_tokens), r.duration));
         }},
        {"Goodput (requests/s)", [](const R& r) { return optional(r.goodput, "%.3f"); }},
        {"Requests within objectives", [](const R& r) { return r.good_share ? percent(*r.good_share) : ""; }},
    };
    const auto add = [&](const char* name, Distribution R::*d, double Distribution::*value) {
        lines.push_back({name, [d, value](const R& r) { return format("%.2f", r.*d.*value); }});
    };
    add("TTFT p50 (ms)", &R::ttft, &Distribution::p50);
    add("TTFT p90", &R::ttft, &Distribution::p90);
    add("TTFT p99", &R::ttft, &Distribution::p99);
    add("TPOT p50 (ms)", &R::tpot, &Distribution::p50);
    add("TPOT p90", &R::tpot, &Distribution::p90);
    add("TPOT p99", &R::tpot, &Distribution::p99);
    add("ITL p50 (ms)", &R::itl, &Distribution::p50);
    add("ITL p99", &R::itl, &Distribution::p99);
    add("E2E p50 (ms)", &R::e2el, &Distribution::p50);
    add("E2E p99", &R::e2el, &Distribution::p99);
    lines.push_back({"Utilization", [](const R& r) { return percent(r.utilization); }});
    lines.push_back({"Tokens per step", [](const R& r) { return format("%.1f", r.tokens_per_step); }});
    lines.push_back({"KV in use", [](const R& r) { return percent(r.kv_usage); }});
    lines.push_back({"Preemptions", [](const R& r) { return std::to_string(r.preemptions); }});
    const auto swapped = [&](const char* name, std::uint64_t R::*blocks) {
        lines.push_back({name, [blocks](const R& r) {
                             return r.blocks_out > 0 ? std::to_string(r.*blocks) : std::string();
                         }});
    };
    swapped("KV blocks swapped out", &R::blocks_out);
    swapped("KV blocks swapped in", &R::blocks_in);
    swapped("KV blocks moved to disk", &R::blocks_spilled);
    lines.push_back({"Prefix hit rate", [](const R& r) { return percent(r.hit_rate); }});
    lines.push_back({"Rejected decisions", [](const R& r) { return std::to_string(r.rejected_decisions); }});
    lines.push_back({"Fairness (Jain)", [](const R& r) { return optional(r.fairness, "%.4f"); }});
    lines.push_back({"Largest service lead", [](const R& r) { return optional(r.service_lead, "%.0f"); }});
    lines.push_back(
        {"Energy (J/output token)", [](const R& r) { return optional(r.joules_per_token, "%.4f"); }});
    lines.push_back(
        {"Cost (per 1M output tokens)", [](const R& r) { return optional(r.cost_per_million, "%.4f"); }});
    return lines;
}

void write(net::JsonWriter& json, const char* name, const Distribution& d) {
    json.key(name)
        .begin_object()
        .field("mean", d.mean)
        .field("p50", d.p50)
        .field("p90", d.p90)
        .field("p99", d.p99)
        .end_object();
}

void write(net::JsonWriter& json, const SimulationReport& r) {
    json.begin_object().field("policy", r.policy).field("completed", r.completed).field("refused", r.refused);
    json.field("shed", r.shed).field("truncated", r.truncated);
    json.field("duration", r.duration)
        .field("total_input_tokens", r.input_tokens)
        .field("total_output_tokens", r.output_tokens);
    json.field("request_throughput", per_second(static_cast<double>(r.completed), r.duration));
    json.field("output_throughput", per_second(static_cast<double>(r.output_tokens), r.duration));
    if (r.goodput) json.field("request_goodput", *r.goodput).field("good_share", *r.good_share);
    write(json, "ttft_ms", r.ttft);
    write(json, "tpot_ms", r.tpot);
    write(json, "itl_ms", r.itl);
    write(json, "e2el_ms", r.e2el);
    json.field("utilization", r.utilization)
        .field("steps", r.steps)
        .field("tokens_per_step", r.tokens_per_step);
    json.field("kv_usage", r.kv_usage)
        .field("preemptions", r.preemptions)
        .field("blocks_swapped_out", r.blocks_out)
        .field("blocks_swapped_in", r.blocks_in)
        .field("blocks_spilled", r.blocks_spilled)
        .field("prefix_hit_rate", r.hit_rate);
    json.field("rejected_decisions", r.rejected_decisions);
    if (r.fairness) json.field("fairness", *r.fairness);
    if (r.service_lead) json.field("largest_service_lead", *r.service_lead);
    if (r.joules_per_token) json.field("joules_per_output_token", *r.joules_per_token);
    if (r.cost_per_million) json.field("cost_per_million_output_tokens", *r.cost_per_million);
    json.end_object();
}

}  // namespace

LatencySamples latency_samples(const SimulationResult& result) {
    LatencySamples samples;
    for (const RequestOutcome& r : result.requests) {
        if (!r.served) continue;
        samples.ttft.push_back(ttft_ms(r));
        samples.e2el.push_back(e2el_ms(r));
        if (const auto tpot = tpot_ms(r)) samples.tpot.push_back(*tpot);
    }
    return samples;
}

SimulationReport make_simulation_report(const std::string& policy, const Workload& workload,
                                        const SimulationResult& result, std::uint32_t num_replicas,
                                        const BenchObjectives& objectives, const DevicePrices& prices) {
    SimulationReport report;
    report.policy = policy;
    report.duration = static_cast<double>(result.duration) / us_per_s;
    std::size_t good = 0;
    std::uint64_t cached = 0;
    for (std::size_t i = 0; i < result.requests.size(); ++i) {
        const RequestOutcome& r = result.requests[i];
        if (!r.served) {
            ++report.refused;
            continue;
        }
        const bool whole = r.output_tokens >= workload.requests[i].output_tokens;
        ++(whole ? report.completed : report.truncated);
        report.input_tokens += workload.requests[i].prompt_tokens;
        report.output_tokens += r.output_tokens;
        cached += r.cached_tokens;
        if (whole && meets(r, objectives)) ++good;
    }
    LatencySamples samples = latency_samples(result);
    report.ttft = troupe::distribution_of(std::move(samples.ttft));
    report.tpot = troupe::distribution_of(std::move(samples.tpot));
    report.e2el = troupe::distribution_of(std::move(samples.e2el));
    report.itl = distribution_of(result.itl);
    if (objectives.any() && !result.requests.empty()) {
        report.goodput = per_second(static_cast<double>(good), report.duration);
        report.good_share = static_cast<double>(good) / static_cast<double>(result.requests.size());
    }
    const double replica_us = static_cast<double>(result.duration) * num_replicas;
    if (replica_us > 0) report.utilization = std::min(1.0, result.busy_us / replica_us);
    report.steps = result.steps;
    if (result.steps > 0)
        report.tokens_per_step = static_cast<double>(result.step_tokens) / static_cast<double>(result.steps);
    report.kv_usage = mean_kv_usage(result.timeline, replica_us);
    report.preemptions = result.preemptions;
    report.rejected_decisions = result.rejected_decisions;
    report.shed = result.shed;
    report.blocks_out = result.blocks_out;
    report.blocks_in = result.blocks_in;
    report.blocks_spilled = result.blocks_spilled;
    if (report.input_tokens > 0)
        report.hit_rate = static_cast<double>(cached) / static_cast<double>(report.input_tokens);
    report.fairness = service_fairness(workload, result);
    report.service_lead = largest_service_lead(workload, result);
    add_prices(report, result.busy_us, replica_us, num_replicas, prices);
    return report;
}

std::string simulation_table(const std::vector<SimulationReport>& reports) {
    std::string text = format("%-28s", "Policy");
    for (const SimulationReport& report : reports) text += format(" %14s", report.policy.c_str());
    text += "\n";
    for (const Line& line : lines_of_table()) {
        std::string cells;
        bool empty = true;
        for (const SimulationReport& report : reports) {
            const std::string value = line.value(report);
            empty = empty && value.empty();
            cells += format(" %14s", value.c_str());
        }
        if (!empty) text += format("%-28s", line.name) + cells + "\n";
    }
    return text;
}

std::string simulation_json(const SimulationFacts& facts, const std::vector<SimulationReport>& reports) {
    net::JsonWriter json;
    json.begin_object().key("simulated").begin_object();
    for (const auto& [name, value] : facts) json.field(name, value);
    json.end_object().key("policies").begin_array();
    for (const SimulationReport& report : reports) write(json, report);
    return json.end_array().end_object().take();
}

}  // namespace troupe
