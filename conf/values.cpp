#include "conf/values.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <optional>
#include <set>

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

namespace {

// The length of the NAME of NAME=..., 0 if the text does not begin with one.
std::size_t name_length(std::string_view text) {
    const auto is_plain = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; };
    std::size_t length = 0;
    while (length < text.size() && (is_plain(text[length]) || (length > 0 && std::string_view("._-/:").find(
                                                                                 text[length]) != text.npos)))
        ++length;
    return length < text.size() && text[length] == '=' ? length : 0;
}

// Where the first NAME=PATH of several ends: a path may hold commas too.
std::size_t end_of_first(std::string_view text) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\n' || (text[i] == ',' && name_length(text.substr(i + 1)) > 0)) return i;
    }
    return text.size();
}

}  // namespace

Result<std::vector<ModelSource>> parse_models(std::string_view text) {
    std::vector<ModelSource> models;
    while (!text.empty()) {
        const std::size_t end = end_of_first(text);
        const std::string_view one = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        const std::size_t name = name_length(one);
        models.push_back(
            {std::string(one.substr(0, name)), std::string(one.substr(name == 0 ? 0 : name + 1))});
        if (models.back().source.empty())
            return invalid_argument(quoted(one) + " names no model; write NAME=PATH");
    }
    if (models.size() < 2) return models;
    std::set<std::string> names;
    for (const ModelSource& model : models) {
        if (model.name.empty()) {
            return invalid_argument("of several models each needs a name; write NAME=PATH instead of " +
                                    quoted(model.source));
        }
        if (!names.insert(model.name).second)
            return invalid_argument("two models have the name " + quoted(model.name));
    }
    return models;
}

Result<std::vector<ServedName>> parse_served_names(std::string_view text) {
    std::vector<ServedName> names;
    for (std::size_t begin = 0; begin <= text.size();) {
        const std::size_t end = std::min(text.find_first_of(",\n", begin), text.size());
        const std::string_view one = text.substr(begin, end - begin);
        const std::size_t equals = one.find('=');
        const bool has_model = equals != std::string_view::npos;
        names.push_back({std::string(has_model ? one.substr(0, equals) : ""),
                         std::string(has_model ? one.substr(equals + 1) : one)});
        if (names.back().name.empty() || equals == 0)
            return invalid_argument(quoted(text) + " holds an empty name; write NAME or MODEL=NAME");
        begin = end + 1;
    }
    return names;
}

Result<FaultInjection> parse_fault_injection(std::string_view text) {
    if (text.empty()) return FaultInjection{};
    const Error malformed = invalid_argument(quoted(text) +
                                             " is not a fault; write worker:throw@step=K, and if wanted "
                                             ",every=N and ,model=NAME after it, where K "
                                             "and N are whole numbers from 1");
    constexpr std::string_view prefix = "worker:throw@", step = "step=", every = "every=", model = "model=";
    if (!text.starts_with(prefix)) return malformed;
    FaultInjection fault;
    for (text.remove_prefix(prefix.size()); !text.empty();) {
        const std::size_t comma = std::min(text.find(','), text.size());
        const std::string_view part = text.substr(0, comma);
        const std::string_view number = part.substr(std::min(part.find('=') + 1, part.size()));
        const auto value = parse_integer(number, 1, INT64_MAX);
        if (part.starts_with(step) && fault.step == 0 && value) {
            fault.step = *value;
        } else if (part.starts_with(every) && fault.step != 0 && fault.every == 0 && value) {
            fault.every = *value;
        } else if (part.starts_with(model) && fault.model.empty() && part.size() > model.size()) {
            fault.model = part.substr(model.size());
        } else {
            return malformed;
        }
        text.remove_prefix(std::min(comma + 1, text.size()));
    }
    if (fault.step == 0) return malformed;
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

bool is_origin(std::string_view text) {
    if (text == "*" || text == "null") return true;
    const std::size_t colon = text.find("://");
    if (colon == std::string_view::npos || colon == 0) return false;
    const std::string_view scheme = text.substr(0, colon), place = text.substr(colon + 3);
    const auto fits = [](char c) { return c > ' ' && c < 0x7F && (c < 'A' || c > 'Z'); };
    if (place.empty() || place.find_first_of("/?#@*") != std::string_view::npos) return false;
    if (!std::all_of(text.begin(), text.end(), fits)) return false;
    return !(scheme == "http" && place.ends_with(":80")) && !(scheme == "https" && place.ends_with(":443"));
}

}  // namespace troupe
