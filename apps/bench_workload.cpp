#include "apps/bench_workload.hpp"

#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <random>

namespace troupe {
namespace {

struct TraceRow {
    double seconds = 0;  // since some midnight long ago
    std::uint32_t input_len = 0, output_len = 0;
};

// "2023-11-16 18:15:46.6805900,374,44"
std::optional<TraceRow> parse_row(const std::string& line) {
    int year = 0, month = 0, day = 0, hour = 0, minute = 0;
    double second = 0;
    unsigned input = 0, output = 0;
    if (std::sscanf(line.c_str(), "%4d-%2d-%2d %2d:%2d:%lf,%9u,%9u", &year, &month, &day, &hour, &minute,
                    &second, &input, &output) != 8) {
        return std::nullopt;
    }
    const std::chrono::year_month_day date{std::chrono::year(year),
                                           std::chrono::month(static_cast<unsigned>(month)),
                                           std::chrono::day(static_cast<unsigned>(day))};
    if (!date.ok() || hour < 0 || hour > 23 || minute < 0 || minute > 59 || !(second >= 0 && second < 61))
        return std::nullopt;
    const auto days = static_cast<double>(std::chrono::sys_days(date).time_since_epoch().count());
    return TraceRow{days * 86400 + hour * 3600 + minute * 60 + second, input, output};
}

// Uniform in (0, 1], the same on every platform (the standard's distributions are not).
double uniform(std::mt19937_64& random) { return (static_cast<double>(random() >> 11) + 1) * 0x1p-53; }

}  // namespace

std::vector<BenchRequest> uniform_workload(std::size_t count, std::uint32_t input_len,
                                           std::uint32_t output_len, std::uint64_t seed) {
    std::vector<BenchRequest> requests;
    for (std::size_t i = 0; i < count; ++i) requests.push_back({0, input_len, output_len, seed + i});
    return requests;
}

Result<std::vector<BenchRequest>> trace_workload(const std::string& path, std::size_t limit, double speed,
                                                 std::uint64_t seed) {
    std::ifstream file(path);
    if (std::error_code error; !file || std::filesystem::is_directory(path, error))
        return not_found("--trace: cannot read the file " + path, "--trace");
    std::vector<BenchRequest> requests;
    std::string line;
    std::optional<double> first;
    for (std::size_t number = 1; std::getline(file, line); ++number) {
        if (number == 1 && line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);  // byte order mark
        if (line.empty() || line == "\r") continue;
        if (number == 1 && line.starts_with("TIMESTAMP")) continue;  // the header
        if (limit != 0 && requests.size() == limit) break;
        const auto row = parse_row(line);
        if (!row || row->input_len == 0 || row->output_len == 0) {
            return invalid_argument(path + ":" + std::to_string(number) +
                                        ": must be TIMESTAMP,ContextTokens,GeneratedTokens, such as "
                                        "2023-11-16 18:15:46.68,374,44",
                                    "--trace");
        }
        if (!first) first = row->seconds;
        const double arrival = (row->seconds - *first) / speed;
        requests.push_back({arrival, row->input_len, row->output_len, seed + requests.size()});
    }
    if (requests.empty()) return invalid_argument("--trace: " + path + " holds no requests", "--trace");
    return requests;
}

void set_poisson_arrivals(std::vector<BenchRequest>& requests, double rate, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    double now = 0;
    for (BenchRequest& request : requests) {
        request.arrival = now;
        now -= std::log(uniform(random)) / rate;
    }
}

}  // namespace troupe
