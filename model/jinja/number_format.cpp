#include "model/jinja/number_format.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "model/jinja/error.hpp"
#include "model/jinja/unicode.hpp"

namespace troupe::jinja {

int parse_width(std::string_view digits) {
    int width = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), width);
    if (error != std::errc() || end != digits.data() + digits.size() || width > 1'000'000)
        fail("Too many decimal digits in format string");
    return width;
}

std::string grouped(const std::string& digits, size_t whole, char separator, size_t size) {
    std::string result;
    for (size_t i = 0; i < whole; ++i) {
        if (i > 0 && (whole - i) % size == 0) result += separator;
        result += digits[i];
    }
    return result + digits.substr(whole);
}

std::string format_integer(int64_t value, const NumberFormat& format) {
    const uint64_t magnitude = value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
    const char kind = static_cast<char>(format.conversion | 32);
    const int base = kind == 'x' ? 16 : kind == 'o' ? 8 : kind == 'b' ? 2 : 10;
    char buffer[72];
    const auto end = std::to_chars(buffer, buffer + sizeof buffer, magnitude, base).ptr;
    std::string digits(buffer, end);
    if (format.conversion == 'X')
        std::transform(digits.begin(), digits.end(), digits.begin(),
                       [](char c) { return c >= 'a' ? static_cast<char>(c - 32) : c; });
    if (format.group) digits = grouped(digits, digits.size(), format.group, base == 10 ? 3 : 4);
    if (format.alternate && base != 10) digits = std::string("0") + format.conversion + digits;
    return digits;
}

std::string format_float(double value, const NumberFormat& format) {
    const double magnitude = std::abs(value);
    const int precision = format.precision < 0 ? 6 : format.precision;
    if (precision > 1000) fail("precision too big");
    const std::string spec = std::string(format.alternate ? "%#.*" : "%.*") + format.conversion;
    std::string text(static_cast<size_t>(std::snprintf(nullptr, 0, spec.c_str(), precision, magnitude)),
                     '\0');
    std::snprintf(text.data(), text.size() + 1, spec.c_str(), precision, magnitude);
    if (format.group && std::isfinite(magnitude))
        text = grouped(text, std::min(text.find_first_of(".e"), text.size()), format.group);
    return text;
}

std::string pad(Runtime& runtime, std::string_view sign, std::string_view text, int width,
                std::string_view fill, char alignment) {
    const size_t size = unicode::length(sign) + unicode::length(text);
    const size_t padding =
        static_cast<size_t>(std::max(width, 0)) > size ? static_cast<size_t>(width) - size : 0;
    runtime.charge_product(padding, fill.size());
    const auto fills = [&](size_t count) {
        std::string result;
        for (size_t i = 0; i < count; ++i) result += fill;
        return result;
    };
    const size_t left = alignment == '<' ? 0 : alignment == '^' ? padding / 2 : padding;
    std::string result = alignment == '=' ? std::string(sign) + fills(left) : fills(left) + std::string(sign);
    return (result += text) += fills(padding - left);
}

int64_t integer_of(const Value& value, const char* where) {
    if (value.is_undefined()) fail(value.undefined_message());
    if (value.is_bool()) return value.as_bool() ? 1 : 0;
    if (!value.is_integer())
        fail(std::string(where) + ": an integer is required, not " + std::string(value.type_name()));
    return value.as_integer();
}

double float_of(const Value& value, const char* where) {
    if (value.is_float()) return value.as_float();
    if (!value.is_bool() && !value.is_integer() && !value.is_undefined())
        fail(std::string(where) + ": a number is required, not " + std::string(value.type_name()));
    return static_cast<double>(integer_of(value, where));
}

}  // namespace troupe::jinja
