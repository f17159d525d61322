#include "apps/bench_report.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "net/json_writer.hpp"

namespace troupe {
namespace {

constexpr double ms_per_second = 1000;

template <class... Values>
std::string format(const char* pattern, Values... values) {
    std::array<char, 160> line{};
    std::snprintf(line.data(), line.size(), pattern, values...);
    return line.data();
}

bool meets(const BenchOutcome& outcome, std::optional<double> tpot_ms, const BenchObjectives& objectives) {
    return (!objectives.ttft || outcome.ttft * ms_per_second <= *objectives.ttft) &&
           (!objectives.tpot || !tpot_ms || *tpot_ms <= *objectives.tpot) &&
           (!objectives.e2el || outcome.latency * ms_per_second <= *objectives.e2el);
}

double per_second(std::uint64_t amount, double seconds) {
    return seconds > 0 ? static_cast<double>(amount) / seconds : 0;
}

std::string row(const char* name, const Distribution& d) {
    return format("%-26s %10.2f %10.2f %10.2f %10.2f\n", name, d.mean, d.p50, d.p90, d.p99);
}

void write_distribution(net::JsonWriter& json, const std::string& name, const Distribution& d) {
    json.field("mean_" + name + "_ms", d.mean);
    json.field("median_" + name + "_ms", d.p50);
    json.field("p90_" + name + "_ms", d.p90);
    json.field("p99_" + name + "_ms", d.p99);
}

}  // namespace

Distribution distribution_of(std::vector<double> milliseconds) {
    Distribution d;
    d.count = milliseconds.size();
    if (milliseconds.empty()) return d;
    std::sort(milliseconds.begin(), milliseconds.end());
    const auto percentile = [&](double p) {
        const double place = p / 100 * static_cast<double>(milliseconds.size() - 1);
        const auto below = static_cast<std::size_t>(place);
        const std::size_t above = std::min(below + 1, milliseconds.size() - 1);
        return std::lerp(milliseconds[below], milliseconds[above], place - static_cast<double>(below));
    };
    d.mean = std::accumulate(milliseconds.begin(), milliseconds.end(), 0.0) / static_cast<double>(d.count);
    d.p50 = percentile(50);
    d.p90 = percentile(90);
    d.p99 = percentile(99);
    return d;
}

BenchReport make_report(const BenchRun& run, const BenchObjectives& objectives) {
    BenchReport report;
    report.duration = run.duration;
    std::vector<double> ttft, tpot, itl, e2el;
    std::size_t good = 0;
    for (const BenchOutcome& outcome : run.outcomes) {
        if (!outcome.error.empty()) {
            ++report.failed;
            ++report.errors[outcome.error];
            report.error_details.try_emplace(outcome.error, outcome.detail);
            continue;
        }
        ++report.completed;
        report.input_tokens += outcome.input_tokens;
        report.output_tokens += outcome.output_tokens;
        ttft.push_back(outcome.ttft * ms_per_second);
        e2el.push_back(outcome.latency * ms_per_second);
        for (const double gap : outcome.itl) itl.push_back(gap * ms_per_second);
        std::optional<double> tpot_ms;
        if (outcome.output_tokens > 1) {
            tpot_ms = (outcome.latency - outcome.ttft) * ms_per_second / (outcome.output_tokens - 1);
            tpot.push_back(*tpot_ms);
        }
        if (meets(outcome, tpot_ms, objectives)) ++good;
    }
    report.ttft = distribution_of(std::move(ttft));
    report.tpot = distribution_of(std::move(tpot));
    report.itl = distribution_of(std::move(itl));
    report.e2el = distribution_of(std::move(e2el));
    if (objectives.any()) report.goodput = per_second(good, run.duration);
    return report;
}

std::string report_table(const BenchReport& r) {
    std::string text;
    text += format("%-26s %10zu\n", "Successful requests", r.completed);
    text += format("%-26s %10zu\n", "Failed requests", r.failed);
    for (const auto& [kind, count] : r.errors) {
        text += format("  %-24s %10zu  ", kind.c_str(), count) + r.error_details.at(kind) + "\n";
    }
    text += format("%-26s %10.2f\n", "Duration (s)", r.duration);
    text += format("%-26s %10llu\n", "Input tokens", static_cast<unsigned long long>(r.input_tokens));
    text += format("%-26s %10llu\n", "Output tokens", static_cast<unsigned long long>(r.output_tokens));
    text += format("%-26s %10.2f\n", "Requests/s", per_second(r.completed, r.duration));
    text += format("%-26s %10.2f\n", "Output tokens/s", per_second(r.output_tokens, r.duration));
    text +=
        format("%-26s %10.2f\n", "All tokens/s", per_second(r.input_tokens + r.output_tokens, r.duration));
    if (r.goodput) text += format("%-26s %10.2f\n", "Goodput (requests/s)", *r.goodput);
    text += format("\n%-26s %10s %10s %10s %10s\n", "Milliseconds", "mean", "p50", "p90", "p99");
    text += row("Time to first token", r.ttft);
    text += row("Time per output token", r.tpot);
    text += row("Inter-token latency", r.itl);
    text += row("Whole request", r.e2el);
    return text;
}

std::string report_json(const BenchReport& r) {
    const std::uint64_t all_tokens = r.input_tokens + r.output_tokens;
    net::JsonWriter json;
    json.begin_object().field("completed", r.completed).field("failed", r.failed);
    json.key("errors").begin_object();
    for (const auto& [kind, count] : r.errors) json.field(kind, count);
    json.end_object();
    json.field("duration", r.duration);
    json.field("total_input_tokens", r.input_tokens);
    json.field("total_output_tokens", r.output_tokens);
    json.field("request_throughput", per_second(r.completed, r.duration));
    json.field("output_throughput", per_second(r.output_tokens, r.duration));
    json.field("total_token_throughput", per_second(all_tokens, r.duration));
    if (r.goodput) json.field("request_goodput", *r.goodput);
    write_distribution(json, "ttft", r.ttft);
    write_distribution(json, "tpot", r.tpot);
    write_distribution(json, "itl", r.itl);
    write_distribution(json, "e2el", r.e2el);
    return json.end_object().take();
}

}  // namespace troupe
