#include "conf/values.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <optional>

namespace troupe {
namespace {

struct Unit {
    std::string_view name;  // in lower case
    double factor;
};

constexpr double kibi = 1024.0;
constexpr std::array<Unit, 14> size_units{{{"", 1},
                                           {"b", 1},
                                           {"k", kibi},
                                           {"kib", kibi},
                                           {"kb", 1e3},
                                           {"m", kibi* kibi},
                                           {"mib", kibi* kibi},
                                           {"mb", 1e6},
                                           {"g", kibi* kibi* kibi},
                                           {"gib", kibi* kibi* kibi},
                                           {"gb", 1e9},
                                           {"t", kibi* kibi* kibi* kibi},
                                           {"tib", kibi* kibi* kibi* kibi},
                                           {"tb", 1e12}}};
constexpr std::array<Unit, 5> time_units{{{"", 1e3}, {"ms", 1}, {"s", 1e3}, {"m", 60e3}, {"h", 3600e3}}};

std::string quoted(std::string_view text) { return "'" + std::string(text) + "'"; }

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Digits with at most one dot, then one of the units, perhaps after a space.
template <std::size_t N>
std::optional<double> number_with_unit(std::string_view text, const std::array<Unit, N>& units) {
    const std::size_t end = text.find_first_not_of("0123456789.");
    const std::string_view digits = text.substr(0, end);
    std::string unit;
    if (end != std::string_view::npos) {
        for (const char c : text.substr(end)) unit += lower(c);
    }
    if (unit.starts_with(' ')) unit.erase(0, 1);
    double number = 0;
    const auto [stop, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (failure != std::errc() || stop != digits.data() + digits.size()) return std::nullopt;
    for (const Unit& known : units) {
        if (known.name == unit) return number * known.factor;
    }
    return std::nullopt;
}

}  // namespace

Result<std::uint64_t> parse_integer(std::string_view text, std::uint64_t low, std::uint64_t high) {
    std::uint64_t value = 0;
    const auto [stop, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    const std::string range = std::to_string(low) + " to " + std::to_string(high);
    if (failure == std::errc::result_out_of_range && stop == text.data() + text.size()) {
        return invalid_argument(quoted(text) + " is out of range; allowed is " + range);
    }
    if (failure != std::errc() || stop != text.data() + text.size()) {
        return invalid_argument(quoted(text) + " is not a whole number; allowed is " + range);
    }
    if (value < low || value > high) {
        return invalid_argument(quoted(text) + " is out of range; allowed is " + range);
    }
    return value;
}

Result<std::uint64_t> parse_size(std::string_view text) {
    const std::optional<double> bytes = number_with_unit(text, size_units);
    if (!bytes) {
        return invalid_argument(quoted(text) +
                                " is not a size; write a number of bytes, or a number with a unit "
                                "such as 512MiB or 4GB");
    }
    if (*bytes >= 9e18) return invalid_argument(quoted(text) + " is more bytes than any machine has");
    return static_cast<std::uint64_t>(*bytes);
}

Result<std::uint32_t> parse_duration(std::string_view text) {
    constexpr double longest = 30.0 * 24 * 3600e3;
    const std::optional<double> milliseconds = number_with_unit(text, time_units);
    if (!milliseconds) {
        return invalid_argument(quoted(text) +
                                " is not a time; write seconds, or a number with a unit such as "
                                "500ms, 30s or 10m");
    }
    if (*milliseconds > longest)
        return invalid_argument(quoted(text) + " is too long; at most 720h is allowed");
    return static_cast<std::uint32_t>(std::llround(*milliseconds));
}

Result<FaultInjection> parse_fault_injection(std::string_view text) {
    if (text.empty()) return FaultInjection{};
    const Error malformed = invalid_argument(
        quoted(text) +
        " is not a fault; write worker:throw@step=K or worker:throw@step=K,every=N, where K and N "
        "are whole numbers from 1");
    constexpr std::string_view prefix = "worker:throw@step=", separator = ",every=";
    if (!text.starts_with(prefix)) return malformed;
    text.remove_prefix(prefix.size());
    const std::size_t comma = text.find(separator);
    FaultInjection fault;
    const auto step = parse_integer(text.substr(0, comma), 1, INT64_MAX);
    if (!step) return malformed;
    fault.step = *step;
    if (comma != std::string_view::npos) {
        const auto every = parse_integer(text.substr(comma + separator.size()), 1, INT64_MAX);
        if (!every) return malformed;
        fault.every = *every;
    }
    return fault;
}

std::string format_size(std::uint64_t bytes) {
    constexpr std::array<const char*, 5> names{"B", "KiB", "MiB", "GiB", "TiB"};
    auto value = static_cast<double>(bytes);
    std::size_t unit = 0;
    for (; value >= kibi && unit + 1 < names.size(); ++unit) value /= kibi;
    std::array<char, 48> text{};
    const bool whole = std::fabs(value - std::round(value)) < 0.05;
    std::snprintf(text.data(), text.size(), "%.*f %s", whole ? 0 : 1, value, names[unit]);
    return text.data();
}

std::string format_duration(std::uint32_t milliseconds) {
    if (milliseconds == 0 || milliseconds % 1000 != 0) return std::to_string(milliseconds) + "ms";
    const std::uint32_t seconds = milliseconds / 1000;
    if (seconds % 3600 == 0) return std::to_string(seconds / 3600) + "h";
    if (seconds % 60 == 0) return std::to_string(seconds / 60) + "m";
    return std::to_string(seconds) + "s";
}

}  // namespace troupe
