#include "model/tokenizer/charsmap.hpp"

#include "model/tokenizer/utf8.hpp"

namespace troupe {

namespace {

constexpr std::size_t long_grapheme = 6;  // bytes from which characters are replaced one by one

// RFC 4648 with padding; nothing if it is not that.
std::optional<std::string> decode_base64(std::string_view text) {
    if (text.size() % 4 != 0) return std::nullopt;
    while (!text.empty() && text.back() == '=') text.remove_suffix(1);
    constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string bytes;
    bytes.reserve(text.size() / 4 * 3 + 2);
    std::uint32_t buffer = 0;
    int bits = 0;
    for (const char c : text) {
        const std::size_t digit = digits.find(c);
        if (digit == std::string_view::npos) return std::nullopt;
        buffer = buffer << 6 | static_cast<std::uint32_t>(digit);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            bytes += static_cast<char>(buffer >> bits & 0xFF);
        }
    }
    return bytes;
}

std::uint32_t read_u32(std::string_view bytes) {
    std::uint32_t value = 0;
    for (int i = 3; i >= 0; --i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
    return value;
}

// A unit of the trie.
bool has_leaf(std::uint32_t unit) { return (unit >> 8 & 1) != 0; }
std::uint32_t value_of(std::uint32_t unit) { return unit & 0x7FFFFFFF; }
std::uint32_t label_of(std::uint32_t unit) { return unit & 0x800000FF; }
std::uint32_t offset_of(std::uint32_t unit) { return unit >> 10 << ((unit & 1U << 9) >> 6); }

Error lying_map() {
    return invalid_argument("The normalizer's precompiled_charsmap points outside of itself.");
}

}  // namespace

Result<Charsmap> Charsmap::parse(std::string_view base64) {
    const auto bytes = decode_base64(base64);
    if (!bytes) return invalid_argument("The normalizer's precompiled_charsmap is not base64.");
    const std::size_t trie_bytes = bytes->size() < 4 ? 0 : read_u32(*bytes);
    if (trie_bytes == 0 || trie_bytes % 4 != 0 || trie_bytes > bytes->size() - 4) {
        return invalid_argument("The normalizer's precompiled_charsmap is truncated.");
    }
    auto grapheme = Regex::compile("\\X");
    if (!grapheme) return grapheme.error();
    Charsmap map(std::move(*grapheme));
    for (std::size_t at = 4; at < 4 + trie_bytes; at += 4) {
        map.units_.push_back(read_u32(std::string_view(*bytes).substr(at, 4)));
    }
    map.replacements_ = bytes->substr(4 + trie_bytes);
    if (!is_valid_utf8(map.replacements_)) {
        return invalid_argument("The replacements of the normalizer's precompiled_charsmap are not UTF-8.");
    }
    return map;
}

Result<std::string> Charsmap::apply(std::string_view text) const {
    std::vector<Regex::Range> graphemes;
    if (Status s = Regex::Matcher(grapheme_).find_all(text, graphemes); !s) return s.error();
    std::string out;
    out.reserve(text.size());
    for (const auto [begin, end] : graphemes) {
        if (Status s = append_mapped(text.substr(begin, end - begin), out); !s) return s.error();
    }
    return out;
}

Status Charsmap::append_mapped(std::string_view grapheme, std::string& out) const {
    if (grapheme.size() < long_grapheme) {
        const auto found = find(grapheme);
        if (!found) return found.error();
        if (*found) {
            out += **found;
            return {};
        }
    }
    for (std::size_t at = 0; at < grapheme.size();) {
        const std::string_view character = grapheme.substr(at, utf8_length(grapheme.substr(at)));
        const auto found = find(character);
        if (!found) return found.error();
        out += found->value_or(character);
        at += character.size();
    }
    return {};
}

Result<std::optional<std::string_view>> Charsmap::find(std::string_view text) const {
    std::optional<std::string_view> none;
    std::size_t node = offset_of(units_[0]);
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte == 0) return none;
        node ^= byte;
        if (node >= units_.size()) return lying_map();
        const std::uint32_t unit = units_[node];
        if (label_of(unit) != byte) return none;
        node ^= offset_of(unit);
        if (!has_leaf(unit)) continue;
        if (node >= units_.size() || value_of(units_[node]) >= replacements_.size()) return lying_map();
        const std::string_view rest = std::string_view(replacements_).substr(value_of(units_[node]));
        if ((static_cast<unsigned char>(rest[0]) & 0xC0) == 0x80) return lying_map();
        return std::optional(rest.substr(0, rest.find('\0')));
    }
    return none;
}

}  // namespace troupe
