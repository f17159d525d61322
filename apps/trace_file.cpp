#include "apps/trace_file.hpp"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <unordered_map>

#include "actors/recording.hpp"
#include "apps/bench_workload.hpp"
#include "apps/replay.hpp"

namespace troupe {
namespace {

constexpr std::uint64_t longest = 100'000'000;  // tokens of a prompt or an output
constexpr double latest_ms = 1e12;              // a timestamp, some thirty years

// A trace's hash ids as 0, 1, 2, ... in the order of their first use.
using HashIds = std::unordered_map<std::uint64_t, std::uint32_t>;
// And its cache salts as 1, 2, ...
using Salts = std::unordered_map<std::string, std::uint32_t>;

Workload from_bench(const std::vector<BenchRequest>& requests) {
    Workload workload;
    for (const BenchRequest& request : requests) {
        WorkloadRequest one;
        one.arrival = std::llround(request.arrival * 1e6);
        one.prompt_tokens = request.input_len;
        one.output_tokens = request.output_len;
        workload.requests.push_back(one);
    }
    return workload;
}

std::optional<std::uint32_t> length_of(simdjson::dom::element line, const char* name) {
    std::uint64_t value = 0;
    if (line[name].get_uint64().get(value) || value == 0 || value > longest) return std::nullopt;
    return static_cast<std::uint32_t>(value);
}

// A field that need not be there: false if it is, and is no number in [least, most].
template <class T>
bool take_number(simdjson::dom::element line, const char* name, double least, double most, double factor,
                 T& place) {
    simdjson::dom::element field;
    if (line[name].get(field) != simdjson::SUCCESS) return true;
    double value = 0;
    if (field.get_double().get(value) || !(value >= least && value <= most)) return false;
    if (factor == 1 && value != std::floor(value)) return false;
    place = static_cast<T>(std::llround(value * factor));
    return true;
}

// Who asks, and what for: what is wrong with these fields, or nothing.
std::optional<std::string> take_wishes(simdjson::dom::element line, Salts& salts, WorkloadRequest& request) {
    constexpr double us_per_ms = 1e3, longest_ms = 1e9;
    if (!take_number(line, "priority", -1e9, 1e9, 1, request.priority))
        return "\"priority\" must be a whole number from -1000000000 to 1000000000";
    if (!take_number(line, "tenant", 0, 1e9, 1, request.tenant))
        return "\"tenant\" must be a whole number from 0 to 1000000000";
    if (!take_number(line, "ttft_target_ms", 0.001, longest_ms, us_per_ms, request.ttft_target) ||
        !take_number(line, "tpot_target_ms", 0.001, longest_ms, us_per_ms, request.tpot_target))
        return "\"ttft_target_ms\" and \"tpot_target_ms\" must be milliseconds above 0";
    simdjson::dom::element field;
    if (line["cache_salt"].get(field) != simdjson::SUCCESS) return std::nullopt;
    std::string_view salt;
    if (field.get_string().get(salt)) return "\"cache_salt\" must be a string";
    if (salt.empty()) return std::nullopt;
    const auto next = static_cast<std::uint32_t>(salts.size() + 1);
    request.cache_salt = salts.try_emplace(std::string(salt), next).first->second;
    return std::nullopt;
}

// What is wrong with the line, or nothing.
std::optional<std::string> append_line(simdjson::dom::element line, HashIds& known, Salts& salts,
                                       Workload& workload) {
    double timestamp = 0;
    if (line["timestamp"].get_double().get(timestamp) || !(timestamp >= 0) || timestamp > latest_ms)
        return "\"timestamp\" must be milliseconds";
    const auto input = length_of(line, "input_length"), output = length_of(line, "output_length");
    if (!input || !output) return "\"input_length\" and \"output_length\" must be whole numbers from 1";
    WorkloadRequest request;
    request.arrival = std::llround(timestamp * 1e3);
    request.prompt_tokens = *input;
    request.output_tokens = *output;
    if (auto fault = take_wishes(line, salts, request)) return fault;
    request.first_hash = static_cast<std::uint32_t>(workload.hashes.size());
    simdjson::dom::array ids;
    if (!line["hash_ids"].get_array().get(ids)) {
        for (const auto id : ids) {
            std::uint64_t hash = 0;
            if (id.get_uint64().get(hash)) return "\"hash_ids\" must be whole numbers from 0";
            if (workload.hashes.size() >= most_hashes) return "too many \"hash_ids\" come before";
            const auto next = static_cast<std::uint32_t>(known.size());
            workload.hashes.push_back(known.try_emplace(hash, next).first->second);
            ++request.num_hashes;
        }
    }
    workload.requests.push_back(request);
    return std::nullopt;
}

void skip_byte_order_mark(std::ifstream& file) {
    std::array<char, 3> mark{};
    if (!file.read(mark.data(), mark.size()) || std::string_view(mark.data(), 3) != "\xEF\xBB\xBF") {
        file.clear();
        file.seekg(0);
    }
}

Result<Workload> read_json_lines(const std::string& path) {
    std::ifstream file(path);
    skip_byte_order_mark(file);
    simdjson::dom::parser parser;
    Workload workload;
    HashIds known;
    Salts salts;
    std::string line;
    for (std::size_t number = 1; std::getline(file, line); ++number) {
        if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
        simdjson::dom::element element;
        std::optional<std::string> fault;
        if (parser.parse(line).get(element)) {
            fault = "is no JSON";
        } else {
            fault = append_line(element, known, salts, workload);
        }
        if (fault) return invalid_argument(path + ":" + std::to_string(number) + ": " + *fault, "--trace");
    }
    if (workload.requests.empty())
        return invalid_argument("--trace: " + path + " holds no requests", "--trace");
    std::stable_sort(workload.requests.begin(), workload.requests.end(),
                     [](const auto& a, const auto& b) { return a.arrival < b.arrival; });
    return workload;
}

}  // namespace

Result<Workload> read_trace(const std::string& path, const std::string& model) {
    std::ifstream file(path);
    if (std::error_code error; !file || std::filesystem::is_directory(path, error))
        return not_found("--trace: cannot read the file " + path, "--trace");
    char first = 0;
    skip_byte_order_mark(file);
    file >> first;
    if (is_recording(path)) return recorded_workload(path, model);
    if (!model.empty())
        return invalid_argument("--trace-model: " + path + " is no recording of troupe serve --record",
                                "--trace-model");
    if (first == '{') return read_json_lines(path);
    const auto requests = trace_workload(path, 0, 1.0, 0);
    if (!requests) return requests.error();
    Workload workload = from_bench(*requests);
    for (std::size_t i = 1; i < workload.requests.size(); ++i) {
        if (workload.requests[i].arrival < workload.requests[i - 1].arrival)
            return invalid_argument("--trace: " + path + ": request " + std::to_string(i + 1) +
                                        " is earlier than the one before it",
                                    "--trace");
    }
    return workload;
}

}  // namespace troupe
