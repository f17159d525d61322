// Filters on numbers and on values of any type, and the look-up of all filters.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "model/jinja/error.hpp"
#include "model/jinja/methods.hpp"
#include "model/jinja/number_format.hpp"
#include "model/jinja/operators.hpp"
#include "model/jinja/print.hpp"
#include "model/jinja/unicode.hpp"

namespace troupe::jinja {
namespace {

Value default_value(Runtime&, const Value& self, const Bound& arguments) {
    const bool replace = self.is_undefined() || (arguments.flag(1, false) && !self.truthy());
    return replace ? arguments.value(0, "") : self;
}

Value attr(Runtime& runtime, const Value& self, const Bound& arguments) {
    if (self.is_dict() && !find_method(self, arguments.text(0)))
        return Value::undefined("'dict object' has no attribute '" + arguments.text(0) + "'");
    return get_attribute(runtime, self, arguments.text(0));
}

// Digits with single underscores between them removed; nothing when they are elsewhere.
std::optional<std::string> without_underscores(std::string_view text) {
    std::string result;
    for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '_') {
            result += text[i];
            continue;
        }
        if (i == 0 || i + 1 == text.size() || text[i - 1] == '_' || text[i + 1] == '_') return std::nullopt;
    }
    return result;
}

// float(text)
std::optional<double> parse_float(std::string_view text) {
    text = unicode::strip(text, unicode::Side::both);
    const auto digits = without_underscores(text);
    if (!digits) return std::nullopt;
    std::string_view rest = *digits;
    const bool negative = rest.starts_with('-');
    if (negative || rest.starts_with('+')) rest.remove_prefix(1);
    if (rest.empty() || rest[0] == '-' || rest[0] == '+') return std::nullopt;
    const std::string word = unicode::lower(rest);
    double value = 0;
    if (word == "inf" || word == "infinity") {
        value = HUGE_VAL;
    } else if (word == "nan") {
        value = NAN;
    } else {
        if (word.find_first_of("in") != std::string::npos) return std::nullopt;
        const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
        if (end != rest.data() + rest.size() || error == std::errc::invalid_argument) return std::nullopt;
        if (error == std::errc::result_out_of_range) value = std::strtod(std::string(rest).c_str(), nullptr);
    }
    return negative ? -value : value;
}

// int(text, base)
std::optional<int64_t> parse_integer(std::string_view text, int64_t base) {
    text = unicode::strip(text, unicode::Side::both);
    const bool negative = text.starts_with('-');
    if (negative || text.starts_with('+')) text.remove_prefix(1);
    const char marker = text.size() > 2 && text[0] == '0' ? static_cast<char>(text[1] | 32) : '\0';
    const int64_t marked = marker == 'x' ? 16 : marker == 'o' ? 8 : marker == 'b' ? 2 : 0;
    if (marked && (base == marked || base == 0)) {
        text.remove_prefix(2);
        base = marked;
    } else if (base == 0) {
        base = 10;
    }
    if (base < 2 || base > 36) fail("int() base must be >= 2 and <= 36, or 0");
    const auto digits = without_underscores(text);
    if (!digits || digits->empty() || (*digits)[0] == '-') return std::nullopt;
    const std::string signed_digits = (negative ? "-" : "") + *digits;
    int64_t value = 0;
    const char* end = signed_digits.data() + signed_digits.size();
    const auto parsed = std::from_chars(signed_digits.data(), end, value, static_cast<int>(base));
    if (parsed.ptr == end && parsed.ec == std::errc::result_out_of_range)
        fail("an integer does not fit into 64 bits");
    if (parsed.ptr != end || parsed.ec != std::errc()) return std::nullopt;
    return value;
}

std::optional<int64_t> truncated(double d) {
    if (!std::isfinite(d)) return std::nullopt;
    if (std::abs(d) >= 0x1p63) fail("an integer does not fit into 64 bits");
    return static_cast<int64_t>(d);
}

Value to_integer(Runtime&, const Value& self, const Bound& arguments) {
    std::optional<int64_t> result;
    if (self.is_undefined()) fail(self.undefined_message());
    if (self.is_string()) {
        result = parse_integer(self.text(), arguments.integer(1, 10));
        if (const auto number = result ? std::nullopt : parse_float(self.text())) result = truncated(*number);
    } else if (self.is_float()) {
        if (std::isinf(self.as_float())) fail("cannot convert float infinity to integer");
        result = truncated(self.as_float());
    } else if (self.is_bool() || self.is_integer()) {
        result = integer_of(self, "int");
    }
    return result ? Value(*result) : arguments.value(0, 0);
}

// float(value); nothing for what is not a number.
std::optional<double> to_number(const Value& value) {
    if (value.is_undefined()) fail(value.undefined_message());
    if (value.is_string()) return parse_float(value.text());
    if (value.is_bool() || value.is_integer() || value.is_float()) return float_of(value, "float");
    return std::nullopt;
}

Value to_float(Runtime&, const Value& self, const Bound& arguments) {
    const std::optional<double> number = to_number(self);
    return number ? Value(*number) : arguments.value(0, 0.0);
}

Value absolute(Runtime&, const Value& self, const Bound&) {
    if (self.is_undefined()) fail(self.undefined_message());
    if (self.is_float()) return std::abs(self.as_float());
    if (!self.is_bool() && !self.is_integer())
        fail("bad operand type for abs(): '" + std::string(self.type_name()) + "'");
    const int64_t i = integer_of(self, "abs");
    return i < 0 ? negate(i) : Value(i);
}

// Python's round(): exact decimal value, half to even.
double round_float(double value, int64_t precision) {
    if (!std::isfinite(value) || precision > 308) return value;
    if (precision < -308) return std::copysign(0.0, value);
    if (precision >= 0) {
        NumberFormat format;
        format.conversion = 'f';
        format.precision = static_cast<int>(precision);
        return std::copysign(std::strtod(format_float(value, format).c_str(), nullptr), value);
    }
    const double scale = std::pow(10.0, static_cast<double>(-precision));
    return std::nearbyint(value / scale) * scale;
}

Value round(Runtime&, const Value& self, const Bound& arguments) {
    if (self.is_undefined()) fail(self.undefined_message());
    const std::string method = arguments.has(1) ? arguments.text(1) : "common";
    const int64_t precision = arguments.integer(0, 0);
    if (method != "common" && method != "ceil" && method != "floor")
        fail("method must be common, ceil or floor");
    const bool integral = self.is_bool() || self.is_integer();
    if (method == "common") {
        if (!integral) return round_float(float_of(self, "round"), precision);
        const int64_t i = integer_of(self, "round");
        if (precision >= 0) return i;
        if (precision < -18) return 0;
        int64_t unit = 1;
        for (int64_t p = precision; p < 0; ++p) unit *= 10;
        int64_t quotient = i / unit;
        const int64_t rest = std::abs(i % unit);
        if (rest * 2 > unit || (rest * 2 == unit && quotient % 2 != 0)) quotient += i < 0 ? -1 : 1;
        return quotient * unit;
    }
    if (integral && precision >= 0 && precision <= 308) return float_of(self, "round");
    const double scale = std::pow(10.0, static_cast<double>(precision));
    if (scale == 0) fail("float division by zero");
    if (std::isinf(scale)) fail("int too large to convert to float");
    const double scaled = float_of(self, "round") * scale;
    const double whole = method == "ceil" ? std::ceil(scaled) : std::floor(scaled);
    return (whole + 0.0) / scale;  // Python's is an integer, which has no negative zero
}

Value filesizeformat(Runtime&, const Value& self, const Bound& arguments) {
    const std::optional<double> number = to_number(self);
    if (!number) fail("filesizeformat: not a number: " + std::string(self.type_name()));
    const double bytes = *number;
    if (bytes <= -0x1p63) fail("filesizeformat: an integer does not fit into 64 bits");
    const bool binary_units = arguments.flag(0, false);
    const double base = binary_units ? 1024 : 1000;
    if (bytes == 1) return "1 Byte";
    if (bytes < base) return std::to_string(static_cast<int64_t>(bytes)) + " Bytes";
    double unit = base;
    std::string_view prefixes = binary_units ? "KMGTPEZY" : "kMGTPEZY";
    while (prefixes.size() > 1 && bytes >= unit * base) {
        unit *= base;
        prefixes.remove_prefix(1);
    }
    NumberFormat format;
    format.conversion = 'f';
    format.precision = 1;
    return format_float(base * bytes / (unit * base), format) + " " + prefixes[0] +
           (binary_units ? "iB" : "B");
}

Value xmlattr(Runtime& runtime, const Value& self, const Bound& arguments) {
    if (!self.is_dict()) fail("xmlattr: the input must be a dict");
    std::string text;
    for (const auto& [key, value] : self.dict().entries()) {
        if (value.is_none() || value.is_undefined()) continue;
        runtime.charge(value.extent().weight);
        if (!key.is_string())
            fail("xmlattr: expected a string for a key, not " + std::string(key.type_name()));
        if (text_of(key).find_first_of(" \t\n\r\f\v/>=") != std::string::npos)
            fail("Invalid character in attribute name: " + repr_of(key));
        const auto safe = [](const Value& v) { return v.is_markup() ? v.text() : escape_html(text_of(v)); };
        if (!text.empty() || arguments.flag(0, true)) text += ' ';
        text += safe(key) + "=\"" + safe(value) + "\"";
    }
    return text;
}

constexpr Builtin table[] = {
    {"default", "default_value boolean", default_value},
    {"d", "default_value boolean", default_value},
    {"attr", "name!", attr},
    {"int", "default base", to_integer},
    {"float", "default", to_float},
    {"abs", "", absolute},
    {"round", "precision method", round},
    {"filesizeformat", "binary", filesizeformat},
    {"xmlattr", "autospace", xmlattr},
};

}  // namespace

const Builtin* find_filter(std::string_view name) {
    for (const auto& filters : {text_filters(), sequence_filters(), std::span<const Builtin>(table)})
        if (const Builtin* found = find_in(filters, name)) return found;
    return nullptr;
}

}  // namespace troupe::jinja
