// `troupe bench --model M` without a server: steps of a model on this machine's CPU, beside what it can do.
#pragma once
#include <string>

#include "conf/config.hpp"
#include "core/status.hpp"

namespace troupe {

struct EngineBenchOptions {
    std::uint32_t rounds = 5;  // of each step; medians count
    std::string json;          // a file, "-" for the standard output; empty: a table there
};

// Prefill, decode, and decodes of many sequences, each with its share of the roofline, whose rates (reading,
// int8, bf16 and fp32 peaks) are measured beside every step.
Status bench_engine(const Config& config, const EngineBenchOptions& options);

}  // namespace troupe
