// Which requests a benchmark sends, and when. A function of its arguments only: one seed, one workload.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "apps/bench_client.hpp"
#include "core/status.hpp"

namespace troupe {

// `count` requests of these lengths, all due at once.
std::vector<BenchRequest> uniform_workload(std::size_t count, std::uint32_t input_len,
                                           std::uint32_t output_len, std::uint64_t seed);

// The first `limit` rows (0: all) of a trace in the format of the Azure LLM inference trace of 2023: a CSV
// file with the header TIMESTAMP,ContextTokens,GeneratedTokens, or without it. Arrivals are the trace's,
// divided by `speed`.
Result<std::vector<BenchRequest>> trace_workload(const std::string& path, std::size_t limit, double speed,
                                                 std::uint64_t seed);

// Replaces the arrivals by a Poisson process of `rate` requests per second.
void set_poisson_arrivals(std::vector<BenchRequest>& requests, double rate, std::uint64_t seed);

}  // namespace troupe
