#include "model/tokenizer/utf8.hpp"

#include <simdjson.h>

namespace troupe {

namespace {

using Byte = unsigned char;

// How far the bytes at the start of `text` go towards a character (Unicode, table 3-7).
struct Prefix {
    std::size_t length;  // bytes that fit, at least 1 unless the first byte can begin nothing
    std::size_t needed;  // bytes of the whole character, 0 if the first byte can begin nothing
};

Prefix character_prefix(std::string_view text) {
    const auto at = [&text](std::size_t i) { return static_cast<Byte>(text[i]); };
    const Byte first = at(0);
    if (first < 0x80) return {1, 1};
    if (first < 0xC2 || first > 0xF4) return {0, 0};
    const std::size_t needed = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    Byte low = 0x80;
    Byte high = 0xBF;
    if (first == 0xE0) low = 0xA0;   // overlong
    if (first == 0xED) high = 0x9F;  // surrogates
    if (first == 0xF0) low = 0x90;   // overlong
    if (first == 0xF4) high = 0x8F;  // past U+10FFFF
    std::size_t length = 1;
    while (length < needed && length < text.size() && at(length) >= low && at(length) <= high) {
        ++length;
        low = 0x80;
        high = 0xBF;
    }
    return {length, needed};
}

}  // namespace

bool is_valid_utf8(std::string_view text) { return simdjson::validate_utf8(text.data(), text.size()); }

std::size_t utf8_length(std::string_view text) {
    const auto first = static_cast<Byte>(text[0]);
    return first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}

void append_utf8(char32_t code_point, std::string& out) {
    const auto tail = [code_point](int shift) {
        return static_cast<char>(0x80 | ((code_point >> shift) & 0x3F));
    };
    if (code_point < 0x80) {
        out += static_cast<char>(code_point);
    } else if (code_point < 0x800) {
        out += {static_cast<char>(0xC0 | (code_point >> 6)), tail(0)};
    } else if (code_point < 0x10000) {
        out += {static_cast<char>(0xE0 | (code_point >> 12)), tail(6), tail(0)};
    } else {
        out += {static_cast<char>(0xF0 | (code_point >> 18)), tail(12), tail(6), tail(0)};
    }
}

char32_t decode_utf8(std::string_view text, std::size_t& position) {
    const std::size_t length = utf8_length(text.substr(position));
    const auto first = static_cast<Byte>(text[position]);
    char32_t code_point = length == 1 ? first : first & (0x7F >> length);
    for (std::size_t i = 1; i < length; ++i) {
        code_point = (code_point << 6) | (static_cast<Byte>(text[position + i]) & 0x3F);
    }
    position += length;
    return code_point;
}

std::string Utf8Stream::push(std::string_view bytes) {
    std::string input = std::move(pending_);
    pending_.clear();
    input += bytes;
    if (is_valid_utf8(input)) return input;
    std::string text;
    text.reserve(input.size());
    for (std::string_view rest = input; !rest.empty();) {
        const Prefix prefix = character_prefix(rest);
        if (prefix.length == prefix.needed && prefix.length != 0) {
            text += rest.substr(0, prefix.length);
        } else if (prefix.length == rest.size()) {
            pending_ = rest;
        } else {
            text += replacement_character;
        }
        rest.remove_prefix(prefix.length == 0 ? 1 : prefix.length);
    }
    return text;
}

std::string Utf8Stream::flush() {
    const bool incomplete = !pending_.empty();
    pending_.clear();
    return std::string(incomplete ? replacement_character : std::string_view());
}

std::string replace_invalid_utf8(std::string_view bytes) {
    Utf8Stream stream;
    std::string text = stream.push(bytes);
    return text + stream.flush();
}

}  // namespace troupe
