// Sends streaming completions to an OpenAI-compatible server and times what comes back. One thread, so that
// hundreds of streams cost little.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/status.hpp"

namespace troupe {

struct BenchTarget {
    std::string host;
    std::string port;
    std::string prefix;   // path before "/v1/...", usually empty
    std::string api_key;  // empty: none
    std::string model;    // as the server names it
};

// "http://host[:port][/prefix]"; a trailing "/v1" is dropped.
Result<BenchTarget> parse_target(const std::string& url);

// The first model that GET /v1/models lists.
Result<std::string> first_model(const BenchTarget& target);

struct BenchRequest {
    double arrival = 0;  // seconds after the start; 0 in a closed loop
    std::uint32_t input_len = 0;
    std::uint32_t output_len = 0;
    std::uint64_t seed = 0;  // of its prompt
};

struct BenchPlan {
    std::vector<BenchRequest> requests;  // by arrival
    std::size_t concurrency = 1;         // requests open at the same time at the most
    bool words = false;                  // prompts of words; else of token ids
    std::uint32_t vocab_size = 0;        // token ids are drawn below it
    std::chrono::seconds timeout{600};   // for one request
};

struct BenchOutcome {
    std::string error;               // kind of failure; empty: it succeeded
    std::string detail;              // what the server or the system said about it
    std::uint32_t input_tokens = 0;  // as the server counts them; else as asked for
    std::uint32_t output_tokens = 0;
    double ttft = 0;          // seconds: first chunk with content minus send
    double latency = 0;       // seconds: end of the stream minus send
    std::vector<double> itl;  // seconds: gaps between chunks with content
};

struct BenchRun {
    std::vector<BenchOutcome> outcomes;  // in the order in which they ended
    double duration = 0;                 // seconds, first send to last end
};

// Blocks until every request has ended. `on_end` is called after each.
BenchRun run_bench(const BenchTarget& target, const BenchPlan& plan,
                   const std::function<void(const BenchOutcome&)>& on_end);

}  // namespace troupe
