// "{}".format(...): https://docs.python.org/3/library/string.html#format-string-syntax
#include <charconv>
#include <cmath>

#include "model/jinja/error.hpp"
#include "model/jinja/methods.hpp"
#include "model/jinja/number_format.hpp"
#include "model/jinja/print.hpp"
#include "model/jinja/unicode.hpp"

namespace troupe::jinja {
namespace {

// [[fill]align][sign][#][0][width][group][.precision][type]
struct FormatSpec {
    std::string fill = " ";
    char alignment = '\0', sign = '-', group = '\0', type = '\0';
    bool alternate = false, has_sign = false, zero = false;
    int width = 0, precision = -1;
};

bool is_alignment(char c) { return c == '<' || c == '>' || c == '^' || c == '='; }

FormatSpec parse_spec(std::string_view text) {
    FormatSpec spec;
    size_t at = 0;
    if (!text.empty()) unicode::decode(text, at);
    if (at < text.size() && is_alignment(text[at])) {
        spec.fill = text.substr(0, at);
        spec.alignment = text[at];
        text.remove_prefix(at + 1);
    } else if (!text.empty() && is_alignment(text[0])) {
        spec.alignment = text[0];
        text.remove_prefix(1);
    }
    const auto take = [&](std::string_view choices) {
        if (text.empty() || choices.find(text[0]) == std::string_view::npos) return '\0';
        const char c = text[0];
        text.remove_prefix(1);
        return c;
    };
    const auto number = [&] {
        const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
        const int value = digits ? parse_width(text.substr(0, digits)) : 0;
        text.remove_prefix(digits);
        return value;
    };
    if (const char sign = take("+- ")) {
        spec.sign = sign;
        spec.has_sign = true;
    }
    spec.alternate = take("#") != '\0';
    if (take("0") && !spec.alignment) {
        spec.fill = "0";
        spec.alignment = '=';
        spec.zero = true;
    }
    spec.width = number();
    spec.group = take(",_");
    if (take(".")) spec.precision = number();
    spec.type = take("bcdeEfFgGnosxX%");
    if (!text.empty()) fail("Invalid format specifier");
    return spec;
}

// Zeros in front of the digits up to the width, with separators between them too.
std::string zero_filled(std::string digits, const FormatSpec& spec, size_t sign) {
    const size_t size = spec.type == 'x' || spec.type == 'X' || spec.type == 'b' || spec.type == 'o' ? 4 : 3;
    const auto width = static_cast<size_t>(spec.width);
    const size_t prefix = spec.alternate && size == 4 ? 2 : 0;
    size_t run =
        std::min(digits.find_first_of(std::string(".e%") + spec.group, prefix), digits.size()) - prefix;
    while (sign + digits.size() < width) {
        const bool separate = run == size;
        // A separator never comes first: where the width ends at one, a zero more is written.
        if (separate)
            digits.insert(prefix, std::string("0") + spec.group);
        else
            digits.insert(prefix, 1, '0');
        run = separate ? 1 : run + 1;
    }
    return digits;
}

// A float without a type but with a precision: as 'g', but it always looks like a float, for which one more
// digit must fit in front of the exponent.
std::string general_float(double value, NumberFormat format) {
    std::string text = format_float(value, format);
    if (!std::isfinite(value) || text.find_first_of(".e") != std::string::npos) return text;
    if (static_cast<int>(text.size()) < std::max(format.precision, 1)) return text + ".0";
    format.conversion = 'e';
    format.precision = std::max(format.precision, 1) - 1;
    text = format_float(value, format);
    const size_t exponent = text.find('e');
    size_t end = text.find_last_not_of('0', exponent - 1) + 1;
    if (text[end - 1] == '.') --end;
    if (text.find('.') > exponent) end = exponent;
    return text.substr(0, end) + text.substr(exponent);
}

std::string format_number(Runtime& runtime, const Value& value, FormatSpec spec) {
    if (spec.type == 'c' && !value.is_float()) {
        const int64_t c = integer_of(value, "format");
        if (c < 0 || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) fail("%c arg not in range(0x110000)");
        if (spec.sign != '-') fail("Sign not allowed with integer format specifier 'c'");
        std::string text;
        unicode::append(text, static_cast<char32_t>(c));
        return pad(runtime, "", text, spec.width, spec.fill, spec.alignment ? spec.alignment : '<');
    }
    NumberFormat number{spec.type, spec.precision, spec.alternate, spec.group};
    std::string digits;
    bool negative = false;
    const bool integral = !value.is_float();
    if (integral &&
        (spec.type == '\0' || std::string_view("bdnoxX").find(spec.type) != std::string_view::npos)) {
        const int64_t i = integer_of(value, "format");
        if (spec.precision >= 0) fail("Precision not allowed in integer format specifier");
        if (spec.group == ',' && number.conversion && number.conversion != 'd')
            fail(std::string("Cannot specify ',' with '") + number.conversion + "'.");
        if (spec.type == '\0' || spec.type == 'n') number.conversion = 'd';
        negative = i < 0;
        digits = format_integer(i, number);
    } else {
        const double d = float_of(value, "format");
        if (std::string_view("eEfFgGn%").find(spec.type) == std::string_view::npos && spec.type)
            fail(std::string("Unknown format code '") + spec.type + "' for object of type 'float'");
        negative = std::signbit(d) && !std::isnan(d);
        if (spec.type == '%') {
            number.conversion = 'f';
            digits = format_float(d * 100, number) + "%";
        } else if (spec.type == '\0' && spec.precision < 0) {
            digits = repr_of(std::abs(d));
            if (spec.group && std::isfinite(d))
                digits = grouped(digits, std::min(digits.find_first_of(".e"), digits.size()), spec.group);
        } else {
            if (spec.type == '\0' || spec.type == 'n') number.conversion = 'g';
            digits = spec.type == '\0' ? general_float(d, number) : format_float(d, number);
        }
    }
    const std::string_view sign = negative ? "-" : spec.sign == '+' ? "+" : spec.sign == ' ' ? " " : "";
    if (spec.group && spec.fill == "0" && spec.alignment == '=' && digits.find("n") == std::string::npos) {
        runtime.charge(static_cast<size_t>(spec.width));
        digits = zero_filled(std::move(digits), spec, sign.size());
    }
    return pad(runtime, sign, digits, spec.width, spec.fill, spec.alignment ? spec.alignment : '>');
}

std::string format_value(Runtime& runtime, const Value& value, std::string_view spec_text) {
    if (spec_text.empty()) return text_of(value);
    FormatSpec spec = parse_spec(spec_text);
    const bool is_number = value.is_bool() || value.is_integer() || value.is_float();
    if (is_number && spec.type != 's') return format_number(runtime, value, spec);
    if (!value.is_string() && !is_number)
        fail("unsupported format string passed to " + std::string(value.type_name()) + ".__format__");
    if ((spec.type != '\0' && spec.type != 's') || is_number)
        fail(std::string("Unknown format code '") + spec.type + "' for object of type '" +
             std::string(value.type_name()) + "'");
    if (spec.has_sign) fail("Sign not allowed in string format specifier");
    if (spec.alternate) fail("Alternate form (#) not allowed in string format specifier");
    if (spec.group) fail(std::string("Cannot specify '") + spec.group + "' with 's'.");
    if (spec.alignment == '=' && !spec.zero) fail("'=' alignment not allowed in string format specifier");
    if (spec.zero) spec.alignment = '<';
    std::string text = text_of(value);
    if (spec.precision >= 0) text.resize(unicode::byte_offset(text, static_cast<size_t>(spec.precision)));
    return pad(runtime, "", text, spec.width, spec.fill, spec.alignment ? spec.alignment : '<');
}

class BraceFormatter {
  public:
    BraceFormatter(Runtime& runtime, const Arguments& arguments) : runtime_(runtime), arguments_(arguments) {}

    std::string run(std::string_view format, int depth = 0) {
        std::string out;
        for (size_t i = 0; i < format.size(); ++i) {
            const char c = format[i];
            if (c != '{' && c != '}') {
                out += c;
            } else if (i + 1 < format.size() && format[i + 1] == c) {
                out += c;
                ++i;
            } else if (c == '}') {
                fail("Single '}' encountered in format string");
            } else {
                const size_t close = closing(format, i);
                out += field(format.substr(i + 1, close - i - 1), depth);
                i = close;
            }
        }
        runtime_.charge(out.size());
        return out;
    }

  private:
    static size_t closing(std::string_view format, size_t open) {
        int depth = 0;
        for (size_t i = open; i < format.size(); ++i) {
            if (format[i] == '{') ++depth;
            if (format[i] == '}' && --depth == 0) return i;
        }
        fail("expected '}' before end of string");
    }

    // name[!conversion][:spec]
    std::string field(std::string_view text, int depth) {
        if (depth > 1) fail("Max string recursion exceeded");
        const size_t colon = std::min(text.find(':'), text.size());
        std::string_view name = text.substr(0, colon);
        Value value;
        if (const size_t bang = name.find('!'); bang != std::string_view::npos) {
            const std::string_view conversion = name.substr(bang + 1);
            value = lookup(name.substr(0, bang));
            runtime_.charge(value.extent().weight);
            if (conversion == "r")
                value = repr_of(value);
            else if (conversion == "a")
                value = ascii_of(value);
            else if (conversion == "s")
                value = text_of(value);
            else
                fail("Unknown conversion specifier '" + std::string(conversion) + "'");
        } else {
            value = lookup(name);
        }
        runtime_.charge(value.extent().weight);
        // After the name, because both may take the next argument.
        const std::string spec = colon < text.size() ? run(text.substr(colon + 1), depth + 1) : "";
        return format_value(runtime_, value, spec);
    }

    // first(.attribute|[index])*
    Value lookup(std::string_view name) {
        const size_t end = std::min(name.find_first_of(".["), name.size());
        if (end == 0 && !name.empty()) fail("KeyError: ''");  // Python's Formatter does not number these
        Value value = first(name.substr(0, end), end == name.size());
        name.remove_prefix(end);
        while (!name.empty()) {
            const bool bracket = name[0] == '[';
            const size_t stop = bracket ? name.find(']') : std::min(name.find_first_of(".[", 1), name.size());
            if (stop == std::string_view::npos) fail("Missing ']' in format string");
            const std::string_view part = name.substr(1, stop - 1);
            if (part.empty()) fail("Empty attribute in format string");
            if (bracket) {
                int64_t index = 0;
                const auto parsed = std::from_chars(part.data(), part.data() + part.size(), index);
                const bool is_index = parsed.ec == std::errc() && parsed.ptr == part.data() + part.size();
                value = get_item(runtime_, value, is_index ? Value(index) : Value(part));
            } else {
                value = get_attribute(runtime_, value, part);
            }
            name.remove_prefix(bracket ? stop + 1 : stop);
        }
        return value;
    }

    // `whole`: no attribute or index follows; only then Python notices that the numbering is mixed.
    Value first(std::string_view name, bool whole) {
        size_t index = 0;
        const auto parsed = std::from_chars(name.data(), name.data() + name.size(), index);
        const bool numbered = parsed.ec == std::errc() && parsed.ptr == name.data() + name.size();
        if (name.empty() || numbered) {
            const Numbering now = name.empty() ? Numbering::automatic : Numbering::manual;
            if (whole && numbering_ != Numbering::undecided && numbering_ != now)
                fail("cannot switch between manual and automatic field numbering");
            if (whole) numbering_ = now;
            if (name.empty()) index = automatic_++;
            if (index >= arguments_.positional.size())
                fail("Replacement index " + std::to_string(index) +
                     " out of range for positional args tuple");
            return arguments_.positional[index];
        }
        for (const auto& [key, value] : arguments_.named)
            if (key == name) return value;
        fail("KeyError: " + repr_of_string(name));
    }

    Runtime& runtime_;
    const Arguments& arguments_;
    enum class Numbering : unsigned char { undecided, manual, automatic } numbering_ = Numbering::undecided;
    size_t automatic_ = 0;
};

}  // namespace

std::string format_braces(Runtime& runtime, const std::string& format, const Arguments& arguments) {
    return BraceFormatter(runtime, arguments).run(format);
}

}  // namespace troupe::jinja
