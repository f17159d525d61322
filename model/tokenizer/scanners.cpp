#include "model/tokenizer/scanners.hpp"

#include <array>

#include "model/tokenizer/known_patterns.hpp"
#include "model/tokenizer/unicode_tables.hpp"
#include "model/tokenizer/utf8.hpp"

namespace troupe {

namespace {

using namespace unicode;
using Class = std::uint8_t;

constexpr Class letter_or_mark = letter | mark;
constexpr Class upper_part = upper | caseless | mark;  // [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]
constexpr Class lower_part = lower | caseless | mark;  // [\p{Ll}\p{Lm}\p{Lo}\p{M}]

// Reads a text forward, character by character.
class Reader {
  public:
    explicit Reader(std::string_view text) : text_(text), classes_(class_of_characters()) {}

    bool at_end(std::size_t at) const { return at >= text_.size(); }
    char byte(std::size_t at) const { return at < text_.size() ? text_[at] : '\0'; }

    // The class of the character at `at`, which moves behind it.
    Class next(std::size_t& at) const {
        const auto first = static_cast<unsigned char>(text_[at]);
        if (first < 0x80) {
            ++at;
            return classes_[first];
        }
        return classes_[decode_utf8(text_, at)];
    }
    // Of nothing the class is 0.
    Class peek(std::size_t at) const { return at_end(at) ? Class{0} : next(at); }

    // Behind the characters from `at` on that are of `wanted` classes, at most so many.
    std::size_t skip(std::size_t at, Class wanted, std::size_t most = static_cast<std::size_t>(-1)) const {
        while (most-- > 0 && !at_end(at)) {
            std::size_t after = at;
            if ((next(after) & wanted) == 0) break;
            at = after;
        }
        return at;
    }
    // The same for those that are of none of these classes.
    std::size_t skip_others(std::size_t at, Class unwanted) const {
        while (!at_end(at)) {
            std::size_t after = at;
            if ((next(after) & unwanted) != 0) break;
            at = after;
        }
        return at;
    }

  private:
    std::string_view text_;
    const Class* classes_;
};

char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

// Behind 's|'t|'re|'ve|'m|'ll|'d at `at`, or `at`. In either case U+017F is an s as well.
std::size_t skip_contraction(const Reader& text, std::size_t at, bool any_case) {
    if (text.byte(at) != '\'') return at;
    const auto letter_at = [&](std::size_t i) { return any_case ? to_lower(text.byte(i)) : text.byte(i); };
    const char first = letter_at(at + 1);
    const char second = letter_at(at + 2);
    if ((first == 'r' && second == 'e') || (first == 'v' && second == 'e') || (first == 'l' && second == 'l'))
        return at + 3;
    if (first == 's' || first == 't' || first == 'm' || first == 'd') return at + 2;
    if (any_case && text.byte(at + 1) == '\xC5' && text.byte(at + 2) == '\xBF') return at + 3;
    return at;
}

// \s+(?!\S)|\s+ at white space: the run of it, but for its last character if something follows.
std::size_t scan_white_space(const Reader& text, std::size_t begin) {
    std::size_t last = begin;
    std::size_t end = begin;
    while (!text.at_end(end)) {
        std::size_t after = end;
        if ((text.next(after) & white_space) == 0) break;
        last = end;
        end = after;
    }
    return text.at_end(end) || last == begin ? end : last;
}

// \s*[\r\n]+|\s+(?!\S)|\s+ at white space: up to the last newline of the run, if there is one.
std::size_t scan_lines(const Reader& text, std::size_t begin) {
    std::size_t after_newline = begin;
    for (std::size_t at = begin; !text.at_end(at);) {
        const Class c = text.next(at);
        if ((c & white_space) == 0) break;
        if ((c & newline) != 0) after_newline = at;
    }
    return after_newline > begin ? after_newline : scan_white_space(text, begin);
}

// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
std::size_t scan_gpt2(std::string_view whole, std::size_t begin) {
    const Reader text(whole);
    if (const std::size_t end = skip_contraction(text, begin, false); end > begin) return end;
    const std::size_t start = text.byte(begin) == ' ' ? begin + 1 : begin;
    const Class c = text.peek(start);
    if ((c & letter) != 0) return text.skip(start, letter);
    if ((c & number) != 0) return text.skip(start, number);
    if ((c & white_space) == 0 && !text.at_end(start))
        return text.skip_others(start, white_space | letter | number);
    return scan_white_space(text, begin);
}

// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|
// ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+ Qwen2's takes one digit at a time; Qwen3.5's has \p{M}
// wherever it has \p{L}, but for the first.
template <std::size_t most_digits, Class letters>
std::size_t scan_lines_of_words(std::string_view whole, std::size_t begin) {
    const Reader text(whole);
    if (const std::size_t end = skip_contraction(text, begin, true); end > begin) return end;
    std::size_t second = begin;
    const Class c = text.next(second);
    if ((c & letter) != 0) return text.skip(second, letters);
    if ((c & (newline | number)) == 0 && (text.peek(second) & letters) != 0)
        return text.skip(second, letters);
    if ((c & letters) != 0) return second;
    if ((c & number) != 0) return text.skip(begin, number, most_digits);
    const std::size_t start = whole[begin] == ' ' ? second : begin;
    const Class first = text.peek(start);
    if ((first & (white_space | letters | number)) == 0 && !text.at_end(start)) {
        return text.skip(text.skip_others(start, white_space | letters | number), newline);
    }
    return scan_lines(text, begin);
}

// U*L+ of o200k at `begin`, where U is upper_part and L lower_part: greedy, so U gives back what L needs.
// Where that fails `begin` itself.
std::size_t scan_upper_lower(const Reader& text, std::size_t begin) {
    std::size_t after_both = begin;  // behind the last character of the run of U that is L as well
    std::size_t at = begin;
    while (!text.at_end(at)) {
        std::size_t after = at;
        const Class c = text.next(after);
        if ((c & upper_part) == 0) break;
        if ((c & lower_part) != 0) after_both = after;
        at = after;
    }
    const std::size_t end = text.skip(at, lower_part);
    return end > at ? end : after_both;
}

// U+L* at `begin`.
std::size_t scan_upper(const Reader& text, std::size_t begin) {
    const std::size_t end = text.skip(begin, upper_part);
    return end > begin ? text.skip(end, lower_part) : begin;
}

// [^\r\n\p{L}\p{N}]?U*L+ or else [^\r\n\p{L}\p{N}]?U+L*, of which `begin` is the start; or `begin`.
std::size_t scan_cased_word(const Reader& text, std::size_t begin) {
    std::size_t second = begin;
    const bool has_prefix = (text.next(second) & (newline | letter | number)) == 0;
    for (const auto scan : {scan_upper_lower, scan_upper}) {
        if (has_prefix) {
            if (const std::size_t end = scan(text, second); end > second) return end;
        }
        if (const std::size_t end = scan(text, begin); end > begin) return end;
    }
    return begin;
}

// o200k's, and tekken's without contractions:
// [^\r\n\p{L}\p{N}]?U*L+(?i:'s|...)?|[^\r\n\p{L}\p{N}]?U+L*(?i:'s|...)?|\p{N}{1,3}|
// ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|...
template <std::size_t most_digits, bool contractions>
std::size_t scan_cased(std::string_view whole, std::size_t begin) {
    const Reader text(whole);
    if (const std::size_t end = scan_cased_word(text, begin); end > begin) {
        return contractions ? skip_contraction(text, end, true) : end;
    }
    const Class c = text.peek(begin);
    if ((c & number) != 0) return text.skip(begin, number, most_digits);
    const std::size_t start = whole[begin] == ' ' ? begin + 1 : begin;
    if ((text.peek(start) & (white_space | letter | number)) == 0 && !text.at_end(start)) {
        std::size_t end = text.skip_others(start, white_space | letter | number);
        while (text.byte(end) == '\r' || text.byte(end) == '\n' || text.byte(end) == '/') ++end;
        return end;
    }
    return scan_lines(text, begin);
}

struct KnownScanner {
    std::string_view pattern;
    Scanner scanner;
};
constexpr std::array<KnownScanner, 6> known_scanners = {{
    {gpt2_pattern, scan_gpt2},
    {llama3_pattern, scan_lines_of_words<3, letter>},
    {qwen2_pattern, scan_lines_of_words<1, letter>},
    {qwen35_pattern, scan_lines_of_words<1, letter_or_mark>},
    {o200k_pattern, scan_cased<3, true>},
    {tekken_pattern, scan_cased<1, false>},
}};

}  // namespace

Scanner find_scanner(std::string_view pattern) {
    for (const KnownScanner& known : known_scanners) {
        if (known.pattern == pattern) return known.scanner;
    }
    return nullptr;
}

}  // namespace troupe
