#include "model/jinja/lexer.hpp"

#include <algorithm>
#include <charconv>

#include "model/jinja/error.hpp"
#include "model/jinja/unicode.hpp"

namespace troupe::jinja {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           static_cast<unsigned char>(c) >= 0x80;
}
bool is_name_part(char c) { return is_name_start(c) || is_digit(c); }
bool is_blank(std::string_view text) { return unicode::strip(text, unicode::Side::left).empty(); }

// Line ends become \n, and one at the very end is dropped.
std::string normalized(const std::string& source) {
    std::string text;
    text.reserve(source.size());
    for (size_t i = 0; i < source.size(); ++i) {
        if (source[i] == '\r') {
            text += '\n';
            if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
        } else {
            text += source[i];
        }
    }
    if (!text.empty() && text.back() == '\n') text.pop_back();
    return text;
}

class Lexer {
  public:
    explicit Lexer(std::string source) : source_(std::move(source)) {}

    std::vector<Token> run() {
        while (position_ < source_.size()) lex_data();
        push(Token::Type::end, {});
        return std::move(tokens_);
    }

  private:
    void push(Token::Type type, std::string text) { tokens_.push_back({type, line_, std::move(text), {}}); }

    bool starts(std::string_view prefix) const {
        return source_.compare(position_, prefix.size(), prefix) == 0;
    }

    // Moves past the next `count` bytes, counting lines.
    void advance(size_t count) {
        line_ +=
            static_cast<int>(std::count(source_.begin() + static_cast<ptrdiff_t>(position_),
                                        source_.begin() + static_cast<ptrdiff_t>(position_ + count), '\n'));
        position_ += count;
        line_starting_ = position_ > 0 && source_[position_ - 1] == '\n';
    }

    void skip_space() {
        const std::string_view rest = std::string_view(source_).substr(position_);
        advance(rest.size() - unicode::strip(rest, unicode::Side::left).size());
    }

    void skip_one_newline() {
        if (position_ < source_.size() && source_[position_] == '\n') advance(1);
    }

    // Text up to the next tag, then that tag.
    void lex_data() {
        size_t tag = position_;
        while (true) {
            tag = source_.find('{', tag);
            if (tag == std::string::npos || tag + 1 >= source_.size()) {
                emit_data(source_.size(), '+', true);
                return;
            }
            const char next = source_[tag + 1];
            if (next == '{' || next == '%' || next == '#') break;
            ++tag;
        }
        const char kind = source_[tag + 1];
        const char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
        emit_data(tag, sign, kind == '{');
        advance(sign == '-' || sign == '+' ? 3 : 2);
        if (kind == '#')
            skip_comment();
        else if (kind == '{')
            lex_expression(Token::Type::variable_begin, Token::Type::variable_end);
        else if (!lex_raw())
            lex_expression(Token::Type::block_begin, Token::Type::block_end);
    }

    // Emits the text before `end`, without what the tag there strips from it: all white space for '-', else
    // (unless '+' or a variable) the blanks between the start of its line and the tag.
    void emit_data(size_t end, char sign, bool variable) {
        std::string_view text = std::string_view(source_).substr(position_, end - position_);
        if (sign == '-') {
            text = unicode::strip(text, unicode::Side::right);
        } else if (sign != '+' && !variable) {
            const size_t newline = text.rfind('\n');
            const size_t line_start = newline == std::string_view::npos ? 0 : newline + 1;
            if ((line_start > 0 || line_starting_) && is_blank(text.substr(line_start)))
                text = text.substr(0, line_start);
        }
        if (!text.empty()) push(Token::Type::data, std::string(text));
        advance(end - position_);
    }

    void skip_comment() {
        if (position_ == source_.size()) return;  // Jinja lets this pass
        const size_t end = source_.find("#}", position_);
        if (end == std::string::npos) fail("Missing end of comment tag", line_);
        const char sign = end > position_ ? source_[end - 1] : '\0';
        advance(end + 2 - position_);
        if (sign == '-')
            skip_space();
        else if (sign != '+')
            skip_one_newline();
    }

    // {% raw %} text {% endraw %}, the opening "{%" being consumed. False, with nothing consumed, for other
    // tags.
    bool lex_raw() {
        size_t at = position_;
        const auto spaces = [&] {
            while (at < source_.size() && is_blank(source_.substr(at, 1))) ++at;
        };
        const auto word = [&](std::string_view text) {
            spaces();
            if (source_.compare(at, text.size(), text) != 0) return false;
            at += text.size();
            spaces();
            return true;
        };
        if (!word("raw")) return false;
        const bool strips = source_.compare(at, 3, "-%}") == 0;
        if (!strips && source_.compare(at, 2, "%}") != 0) return false;
        advance(at + (strips ? 3 : 2) - position_);
        if (strips) skip_space();

        for (size_t tag = source_.find("{%", position_); tag != std::string::npos;
             tag = source_.find("{%", tag + 2)) {
            at = tag + 2;
            const char sign = at < source_.size() ? source_[at] : '\0';
            if (sign == '-' || sign == '+') ++at;
            if (!word("endraw")) continue;
            const char end_sign = at < source_.size() ? source_[at] : '\0';
            if (end_sign == '-' || end_sign == '+') ++at;
            if (source_.compare(at, 2, "%}") != 0) continue;
            emit_data(tag, sign, false);
            advance(at + 2 - position_);
            if (end_sign == '-')
                skip_space();
            else if (end_sign != '+')
                skip_one_newline();
            return true;
        }
        fail("Missing end of raw directive", line_);
    }

    // True when the tag's end is here; consumes it and what it strips.
    bool lex_tag_end(bool variable) {
        if (!open_brackets_.empty()) return false;
        const std::string_view end = variable ? "}}" : "%}";
        const bool strips = source_[position_] == '-' && source_.compare(position_ + 1, 2, end) == 0;
        const bool keeps =
            !variable && source_[position_] == '+' && source_.compare(position_ + 1, 2, end) == 0;
        if (!strips && !keeps && !starts(end)) return false;
        push(variable ? Token::Type::variable_end : Token::Type::block_end, {});
        advance(strips || keeps ? 3 : 2);
        if (strips)
            skip_space();
        else if (!variable && !keeps)
            skip_one_newline();
        return true;
    }

    void lex_expression(Token::Type begin, Token::Type end) {
        push(begin, {});
        open_brackets_.clear();
        while (true) {
            skip_space();
            if (position_ >= source_.size()) fail("Unexpected end of template inside a tag", line_);
            if (lex_tag_end(end == Token::Type::variable_end)) return;
            const char c = source_[position_];
            if (is_digit(c))
                lex_number();
            else if (is_name_start(c))
                lex_name();
            else if (c == '"' || c == '\'')
                lex_string();
            else
                lex_operator();
        }
    }

    void lex_name() {
        size_t end = position_;
        while (end < source_.size() && is_name_part(source_[end])) ++end;
        push(Token::Type::name, source_.substr(position_, end - position_));
        advance(end - position_);
    }

    // Digits of a base, with single underscores between them; moves `at` past them.
    std::string digits(size_t& at, int base) const {
        const auto is_in_base = [base](char c) {
            const int value = is_digit(c)                          ? c - '0'
                              : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                                   : 99;
            return value < base;
        };
        std::string text;
        while (at < source_.size()) {
            if (is_in_base(source_[at]))
                text += source_[at++];
            else if (source_[at] == '_' && !text.empty() && at + 1 < source_.size() &&
                     is_in_base(source_[at + 1]))
                ++at;
            else
                break;
        }
        return text;
    }

    Value integer(const std::string& text, int base) const {
        int64_t value = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
        if (error != std::errc() || end != text.data() + text.size())
            fail("the number " + text + " is not a 64-bit integer", line_);
        return value;
    }

    void lex_number() {
        size_t at = position_;
        Value number;
        const char marker =
            at + 1 < source_.size() && source_[at] == '0' ? static_cast<char>(source_[at + 1] | 32) : '\0';
        const int base = marker == 'x' ? 16 : marker == 'o' ? 8 : marker == 'b' ? 2 : 10;
        if (base != 10) {
            at += 2;
            number = integer(digits(at, base), base);
        } else {
            std::string text = digits(at, 10);
            const bool whole = !lex_fraction(at, text);
            if (whole && text.size() > 1 && text[0] == '0' &&
                text.find_first_not_of('0') != std::string::npos)
                fail("a decimal integer may not start with 0", line_);
            number = whole ? integer(text, 10) : Value(std::strtod(text.c_str(), nullptr));
        }
        tokens_.push_back({Token::Type::number, line_, source_.substr(position_, at - position_), number});
        advance(at - position_);
    }

    // A fraction or an exponent, appended to the text; false when there is neither.
    bool lex_fraction(size_t& at, std::string& text) const {
        const bool after_dot = position_ > 0 && source_[position_ - 1] == '.';  // a.0.1 is two subscripts
        if (after_dot) return false;
        bool found = false;
        if (at + 1 < source_.size() && source_[at] == '.' && is_digit(source_[at + 1])) {
            ++at;
            text += "." + digits(at, 10);
            found = true;
        }
        if (at < source_.size() && (source_[at] | 32) == 'e') {
            size_t exponent = at + 1;
            std::string sign;
            if (exponent < source_.size() && (source_[exponent] == '+' || source_[exponent] == '-'))
                sign = source_[exponent++];
            if (exponent < source_.size() && is_digit(source_[exponent])) {
                text += "e" + sign + digits(exponent, 10);
                at = exponent;
                found = true;
            }
        }
        return found;
    }

    void lex_string() {
        const char quote = source_[position_];
        std::string text;
        size_t at = position_ + 1;
        while (at < source_.size() && source_[at] != quote) {
            if (source_[at] == '\\' && at + 1 < source_.size())
                lex_escape(at, text);
            else
                text += source_[at++];
        }
        if (at >= source_.size()) fail("a string is not closed", line_);
        push(Token::Type::string, std::move(text));
        advance(at + 1 - position_);
    }

    // Python's escapes; unknown ones stay as they are.
    void lex_escape(size_t& at, std::string& text) const {
        static constexpr std::string_view letters = "abfnrtv\\'\"", meanings = "\a\b\f\n\r\t\v\\'\"";
        const char c = source_[at + 1];
        const size_t simple = letters.find(c);
        const auto is_octal = [&](size_t i) {
            return i < source_.size() && source_[i] >= '0' && source_[i] <= '7';
        };
        if (simple != std::string_view::npos) {
            text += meanings[simple];
            at += 2;
        } else if (c == '\n') {
            at += 2;
        } else if (is_octal(at + 1)) {
            char32_t value = 0;
            for (++at; is_octal(at) && value < 0100; ++at)
                value = value * 8 + static_cast<char32_t>(source_[at] - '0');
            unicode::append(text, value);
        } else if (c == 'x' || c == 'u' || c == 'U') {
            unicode::append(text, hex_escape(at));
        } else {
            (text += '\\') += c;
            at += 2;
        }
    }

    char32_t hex_escape(size_t& at) const {
        const char kind = source_[at + 1];
        const size_t count = kind == 'x' ? 2 : kind == 'u' ? 4 : 8;
        char32_t value = 0;
        const char* begin = source_.data() + at + 2;
        const char* end = source_.data() + std::min(source_.size(), at + 2 + count);
        uint32_t parsed = 0;
        const auto result = std::from_chars(begin, end, parsed, 16);
        value = parsed;
        const bool surrogate = value >= 0xd800 && value < 0xe000;
        if (result.ec != std::errc() || result.ptr != begin + count || value > 0x10ffff || surrogate)
            fail(std::string("a \\") + kind + " escape does not name a character", line_);
        at += 2 + count;
        return value;
    }

    void lex_operator() {
        static constexpr std::string_view two[] = {"//", "**", "==", "!=", "<=", ">="};
        static constexpr std::string_view one = "+-*/%~[](){}<>=.:|,;";
        for (const std::string_view symbol : two) {
            if (!starts(symbol)) continue;
            push(Token::Type::op, std::string(symbol));
            advance(2);
            return;
        }
        const char c = source_[position_];
        if (one.find(c) == std::string_view::npos) fail(std::string("unexpected char '") + c + "'", line_);
        balance(c);
        push(Token::Type::op, std::string(1, c));
        advance(1);
    }

    // While a bracket is open, "}}" closes dicts and not the tag.
    void balance(char c) {
        if (c == '(' || c == '[' || c == '{') {
            open_brackets_ += c == '(' ? ')' : c == '[' ? ']' : '}';
        } else if (c == ')' || c == ']' || c == '}') {
            if (open_brackets_.empty()) fail(std::string("unexpected '") + c + "'", line_);
            if (open_brackets_.back() != c)
                fail(std::string("unexpected '") + c + "', expected '" + open_brackets_.back() + "'", line_);
            open_brackets_.pop_back();
        }
    }

    std::string source_;
    size_t position_ = 0;
    int line_ = 1;
    bool line_starting_ = true;
    std::string open_brackets_;  // the closing ones that are awaited
    std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(const std::string& source) {
    if (!unicode::valid(source)) fail("the template is not valid UTF-8", 1);
    return Lexer(normalized(source)).run();
}

}  // namespace troupe::jinja
