// Writes compact JSON into a string, commas included. The caller keeps begin/end and key/value in balance.
#pragma once
#include <charconv>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "net/utf8.hpp"

namespace troupe::net {

// Appends `text` as a JSON string. Bytes that are not UTF-8 become U+FFFD, so the document is always valid.
inline void append_json_string(std::string& out, std::string_view text) {
    static constexpr char hex[] = "0123456789abcdef";
    out += '"';
    std::size_t plain = 0;  // start of the run that needs no change
    const auto flush = [&](std::size_t end) { out.append(text, plain, end - plain); };
    for (std::size_t i = 0; i < text.size();) {
        const auto c = static_cast<unsigned char>(text[i]);
        if (c >= 0x80) {
            const std::size_t length = utf8_sequence_length(text.substr(i));
            if (length == 0) {
                flush(i);
                out += "\xEF\xBF\xBD";
                plain = i + 1;
            }
            i += length == 0 ? 1 : length;
            continue;
        }
        if (c < 0x20 || c == '"' || c == '\\') {
            flush(i);
            switch (c) {
                case '"':
                    out += "\\\"";
                    break;
                case '\\':
                    out += "\\\\";
                    break;
                case '\n':
                    out += "\\n";
                    break;
                case '\r':
                    out += "\\r";
                    break;
                case '\t':
                    out += "\\t";
                    break;
                default:
                    out += "\\u00", out += hex[c >> 4], out += hex[c & 15];
            }
            plain = i + 1;
        }
        ++i;
    }
    flush(text.size());
    out += '"';
}

class JsonWriter {
  public:
    JsonWriter& begin_object() { return open('{'); }
    JsonWriter& end_object() { return close('}'); }
    JsonWriter& begin_array() { return open('['); }
    JsonWriter& end_array() { return close(']'); }

    JsonWriter& key(std::string_view name) {
        separate();
        append_json_string(out_, name);
        out_ += ':';
        fresh_ = true;
        return *this;
    }

    JsonWriter& value(std::string_view text) {
        separate();
        append_json_string(out_, text);
        return *this;
    }
    JsonWriter& value(const char* text) { return value(std::string_view(text)); }
    JsonWriter& value(const std::string& text) { return value(std::string_view(text)); }
    JsonWriter& value(std::same_as<bool> auto flag) { return raw(flag ? "true" : "false"); }
    JsonWriter& value(std::nullptr_t) { return raw("null"); }

    template <class Number>
    requires(std::integral<Number> || std::floating_point<Number>) &&
        (!std::same_as<Number, bool>)JsonWriter& value(Number number) {
        if constexpr (std::floating_point<Number>) {
            if (!std::isfinite(number)) return value(nullptr);  // JSON has no such numbers
        }
        char digits[32];
        const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
        return raw({digits, static_cast<std::size_t>(end - digits)});
    }

    // `json` is a whole value already.
    JsonWriter& raw(std::string_view json) {
        separate();
        out_ += json;
        return *this;
    }

    template <class T>
    JsonWriter& field(std::string_view name, const T& v) {
        return key(name).value(v);
    }

    const std::string& text() const { return out_; }
    std::string take() { return std::move(out_); }

  private:
    JsonWriter& open(char bracket) {
        separate();
        out_ += bracket;
        fresh_ = true;
        return *this;
    }
    JsonWriter& close(char bracket) {
        out_ += bracket;
        fresh_ = false;
        return *this;
    }
    void separate() {
        if (!fresh_) out_ += ',';
        fresh_ = false;
    }

    std::string out_;
    bool fresh_ = true;  // nothing stands before the next value that a comma would have to part it from
};

}  // namespace troupe::net
