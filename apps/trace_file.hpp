// Traces of requests, from files.
#pragma once
#include <string>

#include "core/status.hpp"
#include "engine/simulator/workload.hpp"

namespace troupe {

// By what the file begins with:
//   TIMESTAMP,ContextTokens,GeneratedTokens   the Azure LLM inference trace of 2023 (CSV)
//   {"timestamp": ms, "input_length", "output_length", "hash_ids": [...]}   Mooncake's traces (JSON lines),
//       with one hash id for 512 tokens: requests whose ids begin alike have prompts that begin alike
//   a recording of `troupe serve --record`: the requests of `model`, which need not be named if there is one
// Errors name the file and the line.
Result<Workload> read_trace(const std::string& path, const std::string& model = {});

}  // namespace troupe
