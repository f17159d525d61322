#include "model/jinja/unicode.hpp"

#include <string.h>

#include <simdjson.h>
#include <algorithm>

#include "model/jinja/unicode_tables.hpp"

namespace troupe::jinja::unicode {

bool valid(std::string_view text) { return simdjson::validate_utf8(text.data(), text.size()); }

static bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }

size_t length(std::string_view text) {
    return static_cast<size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return !is_continuation(c); }));
}

char32_t decode(std::string_view text, size_t& position) {
    const auto lead = static_cast<unsigned char>(text[position++]);
    if (lead < 0x80) return lead;
    char32_t code_point = lead >= 0xf0 ? lead & 0x07 : lead >= 0xe0 ? lead & 0x0f : lead & 0x1f;
    while (position < text.size() && is_continuation(text[position]))
        code_point = code_point << 6 | (static_cast<unsigned char>(text[position++]) & 0x3f);
    return code_point;
}

void append(std::string& text, char32_t c) {
    const auto byte = [&](char32_t bits) { text += static_cast<char>(bits); };
    if (c < 0x80) {
        byte(c);
    } else if (c < 0x800) {
        byte(0xc0 | c >> 6), byte(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        byte(0xe0 | c >> 12), byte(0x80 | (c >> 6 & 0x3f)), byte(0x80 | (c & 0x3f));
    } else {
        byte(0xf0 | c >> 18), byte(0x80 | (c >> 12 & 0x3f)), byte(0x80 | (c >> 6 & 0x3f)),
            byte(0x80 | (c & 0x3f));
    }
}

size_t byte_offset(std::string_view text, size_t index) {
    size_t position = 0;
    for (; index > 0 && position < text.size(); --index) decode(text, position);
    return position;
}

std::string_view at(std::string_view text, size_t index) {
    const size_t begin = byte_offset(text, index);
    size_t end = begin;
    decode(text, end);
    return text.substr(begin, end - begin);
}

std::vector<std::string_view> characters(std::string_view text) {
    std::vector<std::string_view> result;
    result.reserve(text.size());
    for (size_t position = 0; position < text.size();) {
        const size_t begin = position;
        decode(text, position);
        result.push_back(text.substr(begin, position - begin));
    }
    return result;
}

size_t find(std::string_view text, std::string_view needle, size_t from) {
    if (from > text.size()) return std::string_view::npos;
    if (needle.empty()) return from;
    const void* found = memmem(text.data() + from, text.size() - from, needle.data(), needle.size());
    return found ? static_cast<size_t>(static_cast<const char*>(found) - text.data())
                 : std::string_view::npos;
}

static bool contains(std::span<const Range> ranges, char32_t c) {
    const auto after = std::upper_bound(ranges.begin(), ranges.end(), c,
                                        [](char32_t x, const Range& r) { return x < r.first; });
    return after != ranges.begin() && c <= std::prev(after)->last;
}

static void append_mapped(std::string& text, char32_t c, std::span<const CaseRange> ranges,
                          std::span<const CaseSpecial> specials) {
    const auto special = std::lower_bound(specials.begin(), specials.end(), c,
                                          [](const CaseSpecial& s, char32_t x) { return s.code_point < x; });
    if (special != specials.end() && special->code_point == c) {
        text += special->text;
        return;
    }
    const auto after = std::upper_bound(ranges.begin(), ranges.end(), c,
                                        [](char32_t x, const CaseRange& r) { return x < r.first; });
    if (after != ranges.begin()) {
        const CaseRange& range = *std::prev(after);
        if (c <= range.last && (c - range.first) % range.step == 0)
            c = static_cast<char32_t>(static_cast<int32_t>(c) + range.delta);
    }
    append(text, c);
}

static void append_upper(std::string& text, char32_t c) {
    if (c < 0x80)
        text += static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
    else
        append_mapped(text, c, tables.to_upper, tables.to_upper_special);
}
static void append_lower(std::string& text, char32_t c) {
    if (c < 0x80)
        text += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    else
        append_mapped(text, c, tables.to_lower, tables.to_lower_special);
}

// Title case: one capital, and what else the character stands for small.
static void append_title(std::string& text, char32_t c) {
    const bool digraph = (c >= 0x1c4 && c <= 0x1cc) || (c >= 0x1f1 && c <= 0x1f3);
    if (digraph) return append(text, c <= 0x1cc ? 0x1c5 + (c - 0x1c4) / 3 * 3 : 0x1f2);
    std::string capital;
    append_upper(capital, c);
    size_t first = 0;
    decode(capital, first);
    (text += capital.substr(0, first)) += lower(std::string_view(capital).substr(first));
}

std::string upper(std::string_view text) {
    std::string result;
    for (size_t i = 0; i < text.size();) append_upper(result, decode(text, i));
    return result;
}
std::string lower(std::string_view text) {
    std::string result;
    for (size_t i = 0; i < text.size();) append_lower(result, decode(text, i));
    return result;
}
std::string capitalize(std::string_view text) {
    std::string result;
    size_t i = 0;
    if (!text.empty()) append_title(result, decode(text, i));
    while (i < text.size()) append_lower(result, decode(text, i));
    return result;
}
std::string title(std::string_view text) {
    std::string result;
    bool in_word = false;
    for (size_t i = 0; i < text.size();) {
        const char32_t c = decode(text, i);
        in_word ? append_lower(result, c) : append_title(result, c);
        in_word = is_upper(c) || is_lower(c);
    }
    return result;
}

bool is_space(char32_t c) {
    return (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
           c == 0x3000;
}
bool is_alpha(char32_t c) { return contains(tables.alpha, c); }
bool is_decimal(char32_t c) { return contains(tables.decimal, c); }
bool is_upper(char32_t c) { return contains(tables.upper, c); }
bool is_lower(char32_t c) { return contains(tables.lower, c); }
bool is_printable(char32_t c) { return c < 0x7f ? c >= 0x20 : !contains(tables.unprintable, c); }

bool all_of(std::string_view text, bool (*predicate)(char32_t)) {
    for (size_t i = 0; i < text.size();)
        if (!predicate(decode(text, i))) return false;
    return !text.empty();
}

bool has_case(std::string_view text, bool (*wanted)(char32_t), bool (*other)(char32_t)) {
    bool found = false;
    for (size_t i = 0; i < text.size();) {
        const char32_t c = decode(text, i);
        if (other(c)) return false;
        found = found || wanted(c);
    }
    return found;
}

std::string_view strip(std::string_view text, Side side, std::optional<std::string_view> set) {
    std::vector<char32_t> members;
    if (set)
        for (size_t i = 0; i < set->size();) members.push_back(decode(*set, i));
    std::sort(members.begin(), members.end());
    const auto stripped = [&](char32_t c) {
        return set ? std::binary_search(members.begin(), members.end(), c) : is_space(c);
    };
    const auto has = [side](Side s) { return (static_cast<int>(side) & static_cast<int>(s)) != 0; };
    while (has(Side::left) && !text.empty()) {
        size_t end = 0;
        if (!stripped(decode(text, end))) break;
        text.remove_prefix(end);
    }
    while (has(Side::right) && !text.empty()) {
        size_t begin = text.size() - 1;
        while (begin > 0 && is_continuation(text[begin])) --begin;
        size_t position = begin;
        if (!stripped(decode(text, position))) break;
        text.remove_suffix(text.size() - begin);
    }
    return text;
}

std::vector<std::string_view> lines(std::string_view text, bool keep_ends) {
    const auto ends_line = [](char32_t c) {
        return (c >= 10 && c <= 13) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 || c == 0x2029;
    };
    std::vector<std::string_view> result;
    size_t begin = 0;
    for (size_t i = 0; i < text.size();) {
        const size_t at = i;
        const char32_t c = decode(text, i);
        if (!ends_line(c)) continue;
        if (c == '\r' && i < text.size() && text[i] == '\n') ++i;
        result.push_back(text.substr(begin, (keep_ends ? i : at) - begin));
        begin = i;
    }
    if (begin < text.size()) result.push_back(text.substr(begin));
    return result;
}

}  // namespace troupe::jinja::unicode
