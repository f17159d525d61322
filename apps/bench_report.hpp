// What a benchmark measured. TTFT, ITL and TPOT as `vllm bench serve` defines them: TTFT is the first chunk
// with content minus send, ITL the gaps between such chunks, TPOT (latency - TTFT) / (output tokens - 1),
// goodput the requests per second that met every objective.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "apps/bench_client.hpp"

namespace troupe {

struct BenchObjectives {  // milliseconds
    std::optional<double> ttft, tpot, e2el;
    bool any() const { return ttft || tpot || e2el; }
};

struct Distribution {  // milliseconds
    std::size_t count = 0;
    double mean = 0, p50 = 0, p90 = 0, p99 = 0;
};
// Percentiles interpolate linearly between the two nearest values.
Distribution distribution_of(std::vector<double> milliseconds);

struct BenchReport {
    std::size_t completed = 0, failed = 0;
    std::map<std::string, std::size_t> errors;         // by kind
    std::map<std::string, std::string> error_details;  // one example of each
    double duration = 0;                               // seconds
    std::uint64_t input_tokens = 0, output_tokens = 0;
    Distribution ttft, tpot, itl, e2el;
    std::optional<double> goodput;  // requests per second
};

BenchReport make_report(const BenchRun& run, const BenchObjectives& objectives);
std::string report_table(const BenchReport& report);
// One line; the names are those of `vllm bench serve`.
std::string report_json(const BenchReport& report);

}  // namespace troupe
