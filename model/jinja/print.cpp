#include "model/jinja/print.hpp"

#include <charconv>
#include <cmath>
#include <cstdlib>

#include "model/jinja/unicode.hpp"

namespace troupe::jinja {

std::string repr_of(double number) {
    if (std::isnan(number)) return "nan";
    if (std::isinf(number)) return number < 0 ? "-inf" : "inf";
    char buffer[64];
    const auto scientific =
        std::to_chars(buffer, buffer + sizeof buffer, number, std::chars_format::scientific);
    const std::string digits(buffer, scientific.ptr);
    const int exponent = std::atoi(digits.c_str() + digits.find('e') + 1);
    if (exponent < -4 || exponent >= 16) return digits;
    const auto fixed = std::to_chars(buffer, buffer + sizeof buffer, number, std::chars_format::fixed);
    std::string text(buffer, fixed.ptr);
    if (text.find('.') == std::string::npos) text += ".0";
    return text;
}

static void append_escaped(std::string& out, char32_t c) {
    static constexpr char hex[] = "0123456789abcdef";
    const int digits = c < 0x100 ? 2 : c < 0x10000 ? 4 : 8;
    out += digits == 2 ? "\\x" : digits == 4 ? "\\u" : "\\U";
    for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) out += hex[c >> shift & 0xf];
}

std::string repr_of_string(std::string_view text) {
    const bool has_single = text.find('\'') != std::string_view::npos;
    const char quote = has_single && text.find('"') == std::string_view::npos ? '"' : '\'';
    std::string out(1, quote);
    for (size_t i = 0; i < text.size();) {
        const size_t begin = i;
        const char32_t c = unicode::decode(text, i);
        if (c == static_cast<char32_t>(quote) || c == '\\')
            (out += '\\') += static_cast<char>(c);
        else if (c == '\n')
            out += "\\n";
        else if (c == '\r')
            out += "\\r";
        else if (c == '\t')
            out += "\\t";
        else if (unicode::is_printable(c))
            out += text.substr(begin, i - begin);
        else
            append_escaped(out, c);
    }
    return out += quote;
}

static std::string repr_of_items(const Sequence& sequence) {
    std::string out;
    for (const Value& item : sequence.items) {
        if (!out.empty()) out += ", ";
        out += repr_of(item);
    }
    return out;
}

static std::string repr_of_sequence(const Sequence& sequence) {
    switch (sequence.flavor) {
        case Sequence::Flavor::range:
            return sequence.repr;
        case Sequence::Flavor::list:
            return "[" + repr_of_items(sequence) + "]";
        case Sequence::Flavor::dict_keys:
            return "dict_keys([" + repr_of_items(sequence) + "])";
        case Sequence::Flavor::dict_values:
            return "dict_values([" + repr_of_items(sequence) + "])";
        case Sequence::Flavor::dict_items:
            return "dict_items([" + repr_of_items(sequence) + "])";
        case Sequence::Flavor::tuple:
        case Sequence::Flavor::group:
            break;
    }
    return "(" + repr_of_items(sequence) + (sequence.items.size() == 1 ? ",)" : ")");
}

std::string repr_of(const Dict& dict) {
    std::string out = "{";
    for (const auto& [key, value] : dict.entries()) {
        if (out.size() > 1) out += ", ";
        out += repr_of(key) + ": " + repr_of(value);
    }
    return out += "}";
}

std::string repr_of(const Value& value) {
    switch (value.kind()) {
        case Value::Kind::undefined:
            return "Undefined";
        case Value::Kind::none:
            return "None";
        case Value::Kind::boolean:
            return value.as_bool() ? "True" : "False";
        case Value::Kind::integer:
            return std::to_string(value.as_integer());
        case Value::Kind::floating:
            return repr_of(value.as_float());
        case Value::Kind::string: {
            std::string quoted = repr_of_string(value.text());
            return value.is_markup() ? "Markup(" + quoted + ")" : quoted;
        }
        case Value::Kind::sequence:
            return repr_of_sequence(value.sequence());
        case Value::Kind::dict:
            return repr_of(value.dict());
        case Value::Kind::object:
            return value.object()->repr();
    }
    return {};
}

std::string ascii_of(const Value& value) {
    const std::string text = repr_of(value);
    std::string out;
    for (size_t i = 0; i < text.size();) {
        const char32_t c = unicode::decode(text, i);
        if (c < 0x80)
            out += static_cast<char>(c);
        else
            append_escaped(out, c);
    }
    return out;
}

std::string text_of(const Value& value) {
    if (value.is_string()) return value.text();
    return value.is_undefined() ? std::string() : repr_of(value);
}

std::string escape_html(std::string_view text) {
    std::string out;
    for (const char c : text) {
        switch (c) {
            case '&':
                out += "&amp;";
                break;
            case '<':
                out += "&lt;";
                break;
            case '>':
                out += "&gt;";
                break;
            case '"':
                out += "&#34;";
                break;
            case '\'':
                out += "&#39;";
                break;
            default:
                out += c;
        }
    }
    return out;
}

}  // namespace troupe::jinja
