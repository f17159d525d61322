#include "apps/quantity.hpp"

#include <charconv>
#include <cmath>
#include <initializer_list>
#include <optional>
#include <utility>

#include "model/tensor.hpp"

namespace troupe {
namespace {

struct Quantity {
    double number = 0;
    std::string unit;  // as written
};

constexpr double least_bare = 1e6;  // bytes that a number without a unit can mean

std::optional<Quantity> split(std::string_view text) {
    Quantity quantity;
    const auto [stop, failure] = std::from_chars(text.data(), text.data() + text.size(), quantity.number);
    if (failure != std::errc() || !std::isfinite(quantity.number) || quantity.number <= 0)
        return std::nullopt;
    quantity.unit.assign(stop, text.data() + text.size());
    if (quantity.unit.starts_with(' ')) quantity.unit.erase(0, 1);
    return quantity;
}

std::string lower(std::string_view text) {
    std::string result(text);
    for (char& c : result)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return result;
}

// 1000 or 1024 to the power that the first letter names, and what follows it; 1 and all if there is none.
std::pair<double, std::string> take_prefix(const std::string& unit) {
    constexpr std::string_view letters = "kmgtp";
    const std::size_t power = unit.empty() ? letters.npos : letters.find(lower(unit)[0]);
    if (power == letters.npos) return {1.0, unit};
    const bool binary = unit.size() > 1 && (unit[1] == 'i' || unit[1] == 'I');
    return {std::pow(binary ? 1024.0 : 1000.0, static_cast<double>(power + 1)), unit.substr(binary ? 2 : 1)};
}

bool is_one_of(const std::string& text, std::initializer_list<std::string_view> words) {
    for (const std::string_view word : words)
        if (text == word) return true;
    return false;
}

Error malformed(std::string_view text, const std::string& flag, const char* what) {
    return invalid_argument(flag + ": '" + std::string(text) + "' is not " + what, flag);
}

}  // namespace

Result<double> parse_bytes(std::string_view text, const std::string& flag) {
    if (const auto quantity = split(text)) {
        const auto [factor, rest] = take_prefix(quantity->unit);
        const double bytes = quantity->number * factor;
        // Nobody has a memory of megabits, but 80 alone may have been meant as gigabytes.
        if (rest == "B" || (rest == "b" && lower(quantity->unit) == quantity->unit)) return bytes;
        if (rest.empty() && bytes >= least_bare) return bytes;
        if (rest == "b")
            return malformed(text, flag, "clear: b may mean bits; write bytes with B, as in 80GB");
        if (quantity->unit.empty())
            return malformed(text, flag, "a size without its unit; write it as 80GB or 80GiB");
    }
    return malformed(text, flag, "a size; write it as 80GB (10^9 bytes) or 80GiB (2^30 bytes)");
}

Result<double> parse_rate(std::string_view text, const std::string& flag) {
    constexpr double bits = 1.0 / 8;
    if (const auto quantity = split(text)) {
        const auto [factor, rest] = take_prefix(quantity->unit);
        const std::string small = lower(rest);
        if (is_one_of(small, {"bit/s", "bits/s", "bit/sec", "bits/sec"}))
            return quantity->number * factor * bits;
        if (is_one_of(small, {"b/s", "b/sec", "bps"})) {
            if (rest[0] == 'B') return quantity->number * factor;
            return malformed(text, flag, "clear: write bits as 400Gbit/s and bytes with B, as in 2TB/s");
        }
        if (quantity->unit.empty() && quantity->number >= least_bare) return quantity->number;
        if (quantity->unit.empty())
            return malformed(text, flag, "a rate without its unit; write it as 2TB/s or 400Gbit/s");
    }
    return malformed(text, flag, "a rate; write it as 2TB/s, 900GB/s or, in bits, 400Gbit/s");
}

Result<double> parse_flops(std::string_view text, const std::string& flag) {
    if (const auto quantity = split(text)) {
        const auto [factor, rest] = take_prefix(quantity->unit);
        if (is_one_of(lower(rest), {"", "flops", "flop/s", "flops/s", "ops", "op/s", "ops/s"}))
            return quantity->number * factor;
    }
    return malformed(text, flag, "a rate of operations; write it as 989TFLOPS or 9.89e14");
}

Result<double> parse_seconds(std::string_view text, const std::string& flag) {
    if (const auto quantity = split(text)) {
        if (quantity->unit == "s") return quantity->number;
        if (quantity->unit == "ms") return quantity->number * 1e-3;
        if (quantity->unit == "us") return quantity->number * 1e-6;
    }
    return malformed(text, flag, "a time; write it with its unit, such as 50ms, 0.05s or 800us");
}

Result<double> parse_count(std::string_view text, const std::string& flag) {
    if (const auto quantity = split(text)) {
        const std::string unit = lower(quantity->unit);
        const double factor = unit.empty()  ? 1
                              : unit == "k" ? 1e3
                              : unit == "m" ? 1e6
                              : unit == "b" ? 1e9
                              : unit == "t" ? 1e12
                                            : 0;
        if (factor > 0) return quantity->number * factor;
    }
    return malformed(text, flag, "a number; write it as 7e9, 7B or 135M");
}

Result<double> parse_whole(std::string_view text, const std::string& flag) {
    const auto count = parse_count(text, flag);
    if (!count) return count;
    const double whole = std::round(*count);
    if (whole < 1 || std::abs(*count - whole) > 1e-9 * whole)  // 1.1K is not exactly 1100
        return malformed(text, flag, "a whole number from 1");
    return whole;
}

Result<double> parse_dtype(std::string_view name, const std::string& flag) {
    const std::string wanted = lower(name);
    const std::pair<std::string_view, double> plain[] = {{"f32", 4},
                                                         {"fp32", 4},
                                                         {"float32", 4},
                                                         {"f16", 2},
                                                         {"fp16", 2},
                                                         {"float16", 2},
                                                         {"bf16", 2},
                                                         {"bfloat16", 2},
                                                         {"f8", 1},
                                                         {"fp8", 1},
                                                         {"f8_e4m3", 1},
                                                         {"f8_e5m2", 1},
                                                         {"int8", 1},
                                                         {"i8", 1},
                                                         {"int4", 0.5},
                                                         {"i4", 0.5},
                                                         {"f4", 0.5},
                                                         {"fp4", 0.5},
                                                         {"int4-g128", 0.5 + 2.0 / 128},
                                                         {"int4-g64", 0.5 + 2.0 / 64},
                                                         {"int4-g32", 0.5 + 2.0 / 32}};
    for (const auto& [known, bytes] : plain)
        if (wanted == known) return bytes;
    for (const DType dtype : all_dtypes) {
        if (wanted != lower(dtype_name(dtype))) continue;
        const std::uint32_t columns = block_columns(dtype);
        return static_cast<double>(row_bytes(dtype, columns)) / columns;
    }
    return invalid_argument(
        flag + ": '" + std::string(name) +
            "' is not known; known are f32, f16, bf16, f8, int8, int4 (all without scales), "
            "int4-g32, int4-g64, int4-g128 (with a 16-bit scale for each group) and GGUF's " +
            dtype_names(),
        flag);
}

bool is_eight_bit(std::string_view dtype) {
    const std::string name = lower(dtype);
    return is_one_of(name, {"f8", "fp8", "f8_e4m3", "f8_e5m2"});
}

}  // namespace troupe
