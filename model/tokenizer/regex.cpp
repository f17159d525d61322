#include "model/tokenizer/regex.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>

#include "model/tokenizer/known_patterns.hpp"
#include "model/tokenizer/utf8.hpp"

namespace troupe {

namespace {

// Oniguruma's \s is Unicode's White_Space; PCRE2's has U+180E besides.
constexpr std::string_view white_space =
    "\\t-\\r \\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}";
constexpr std::string_view not_white_space =
    "\\x{0}-\\x{8}\\x{E}-\\x{1F}!-\\x{84}\\x{86}-\\x{9F}\\x{A1}-\\x{167F}\\x{1681}-\\x{1FFF}\\x{200B}-\\x{"
    "2027}"
    "\\x{202A}-\\x{202E}\\x{2030}-\\x{205E}\\x{2060}-\\x{2FFF}\\x{3001}-\\x{10FFFF}";

// Oniguruma's \\w and its [[:punct:]], as members of a class; outside of classes \\w has Latin-1's other
// numbers too.
constexpr std::string_view word =
    "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{24B6}-\\x{24E9}"
    "\\x{1F130}-\\x{1F149}\\x{1F150}-\\x{1F169}\\x{1F170}-\\x{1F189}";
constexpr std::string_view more_of_word = "\\x{B2}\\x{B3}\\x{B9}\\x{BC}-\\x{BE}";
constexpr std::string_view punctuation = "\\p{P}\\p{S}";

Error refuse(std::string_view pattern, const std::string& why) {
    return invalid_argument("The tokenizer's regular expression '" + std::string(pattern.substr(0, 200)) +
                            "' " + why + ".");
}

// From Oniguruma's dialect to PCRE2's, character by character.
class Translator {
  public:
    explicit Translator(std::string_view pattern) : pattern_(pattern) {}

    Result<std::string> translate() {
        while (at_ < pattern_.size()) {
            const char c = pattern_[at_];
            Status status;
            if (c == '\\') {
                status = translate_escape();
            } else if (in_class_) {
                status = translate_in_class(c);
            } else {
                if (c == '[') {
                    in_class_ = true;
                    class_start_ = at_ + (pattern_.substr(at_ + 1, 1) == "^" ? 2 : 1);
                }
                if (c == '}' && at_ + 1 < pattern_.size() && pattern_[at_ + 1] == '+' && closes_interval()) {
                    return refuse(pattern_,
                                  "repeats an interval with '+', whose meaning differs between libraries");
                }
                copy(1);
            }
            if (!status) return status.error();
        }
        return std::move(out_);
    }

  private:
    void copy(std::size_t count) {
        out_ += pattern_.substr(at_, count);
        at_ += count;
    }

    Status translate_escape() {
        if (at_ + 1 == pattern_.size()) return refuse(pattern_, "ends in a backslash");
        const char c = pattern_[at_ + 1];
        if (c == 'h' || c == 'H')
            return refuse(pattern_, "uses \\h, whose meaning differs between libraries");
        if (c == 's' || c == 'S') {
            put_members(c == 's' ? white_space : not_white_space);
        } else if (c == 'w') {
            put_members(in_class_ ? std::string(word) : std::string(word) + std::string(more_of_word));
        } else if (c == 'W') {
            if (in_class_) return refuse(pattern_, "uses \\W in a character class");
            out_ += "[^" + std::string(word) + std::string(more_of_word) + "]";
        } else if ((c == 'b' || c == 'B') && !in_class_) {
            const std::string w = "[" + std::string(word) + std::string(more_of_word) + "]";
            out_ += c == 'b' ? "(?:(?<=" + w + ")(?!" + w + ")|(?<!" + w + ")(?=" + w + "))"
                             : "(?:(?<=" + w + ")(?=" + w + ")|(?<!" + w + ")(?!" + w + "))";
        } else if (c == 'p' || c == 'P') {
            translate_property();
            return {};
        } else {
            copy(2);
            return {};
        }
        at_ += 2;
        return {};
    }

    void put_members(std::string_view members) {
        out_ += in_class_ ? std::string(members) : "[" + std::string(members) + "]";
    }

    // \p{Han} is a script in Oniguruma; PCRE2 would take its script extensions.
    void translate_property() {
        const std::size_t close = pattern_.find('}', at_);
        if (at_ + 2 >= pattern_.size() || pattern_[at_ + 2] != '{' || close == std::string_view::npos) {
            copy(2);
            return;
        }
        std::string_view name = pattern_.substr(at_ + 3, close - at_ - 3);
        out_ += pattern_.substr(at_, 3);
        if (name.substr(0, 1) == "^") {
            out_ += '^';
            name.remove_prefix(1);
        }
        constexpr std::array<std::string_view, 3> not_scripts = {"Any", "any", "L&"};
        if (name.size() > 2 && std::find(not_scripts.begin(), not_scripts.end(), name) == not_scripts.end()) {
            out_ += "sc:";
        }
        out_ += name;
        out_ += '}';
        at_ = close + 1;
    }

    Status translate_in_class(char c) {
        if (pattern_.substr(at_, 2) == "&&") return refuse(pattern_, "intersects character classes (&&)");
        if (pattern_.substr(at_, 2) == "[:") return translate_posix_class();
        if (c == '[') {  // a union; its members become those of the outer class
            if (pattern_.substr(at_ + 1, 1) == "^" || out_.back() == '-') {
                return refuse(pattern_, "nests character classes in a way that is not supported");
            }
            ++nested_;
            ++at_;
            return {};
        }
        if (c == ']' && nested_ > 0) {
            --nested_;
            ++at_;
            return {};
        }
        if (c == ']' && at_ != class_start_) in_class_ = false;
        copy(1);
        return {};
    }

    // [:space:] and its like.
    Status translate_posix_class() {
        const std::size_t close = pattern_.find(":]", at_);
        if (close == std::string_view::npos)
            return refuse(pattern_, "has an unclosed [: in a character class");
        const std::string_view name = pattern_.substr(at_ + 2, close - at_ - 2);
        constexpr std::array<std::pair<std::string_view, std::string_view>, 4> classes = {
            {{"space", white_space}, {"word", word}, {"punct", punctuation}, {"digit", "\\p{Nd}"}}};
        for (const auto& [known, members] : classes) {
            if (name != known) continue;
            out_ += members;
            at_ = close + 2;
            return {};
        }
        return refuse(pattern_,
                      "uses [:" + std::string(name) + ":], whose meaning differs between libraries");
    }

    // Whether the '}' at at_ ends {n}, {n,} or {n,m}.
    bool closes_interval() const {
        std::size_t open = at_;
        while (open > 0 &&
               (std::string_view("0123456789,").find(pattern_[open - 1]) != std::string_view::npos))
            --open;
        return open > 0 && open < at_ && pattern_[open - 1] == '{';
    }

    std::string_view pattern_;
    std::size_t at_ = 0;
    bool in_class_ = false;
    std::size_t nested_ = 0;  // classes open inside of the class
    std::size_t class_start_ = 0;
    std::string out_;
};

std::string pcre2_message(int error) {
    std::array<PCRE2_UCHAR, 256> buffer{};
    pcre2_get_error_message(error, buffer.data(), buffer.size());
    return reinterpret_cast<const char*>(buffer.data());
}

Result<std::shared_ptr<const void>> compile_pcre2(std::string_view pattern, std::uint32_t options,
                                                  std::string_view shown) {
    int error = 0;
    PCRE2_SIZE offset = 0;
    const std::shared_ptr<pcre2_compile_context> context(pcre2_compile_context_create(nullptr),
                                                         pcre2_compile_context_free);
    pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
    pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                     PCRE2_UTF | options, &error, &offset, context.get());
    if (code == nullptr) return refuse(shown, "is not understood: " + pcre2_message(error));
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // where there is no JIT the interpreter serves
    return std::shared_ptr<const void>(
        code, [](const void* c) { pcre2_code_free(static_cast<pcre2_code*>(const_cast<void*>(c))); });
}

// digit_groups_pattern in linear time: borders before every third digit from the right of each run of digits.
// Digits are ASCII, as llama.cpp has them.
Status find_digit_groups(std::string_view text, std::vector<Regex::Range>& matches) {
    const auto is_digit = [&text](std::size_t i) {
        return i < text.size() && text[i] >= '0' && text[i] <= '9';
    };
    for (std::size_t begin = 0; begin < text.size();) {
        std::size_t end = begin;
        while (is_digit(end)) ++end;
        for (std::size_t border = begin + (end - begin) % 3; border < end; border += 3)
            matches.push_back({border, border});
        begin = end + 1;
    }
    return {};
}

}  // namespace

Result<Regex> Regex::compile(std::string_view pattern) {
    auto translated = Translator(pattern).translate();
    if (!translated) return translated.error();
    // Equal, but tries each run of white space once, where \s+$ alone takes time in the square of its length.
    if (pattern == "\\s+$") *translated = "(?<![" + std::string(white_space) + "])" + *translated;
    // Ruby's ^ and $ match at every line.
    auto code = compile_pcre2(*translated, PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C | PCRE2_MULTILINE, pattern);
    if (!code) return code.error();
    Regex regex;
    regex.pattern_ = pattern;
    regex.code_ = std::move(*code);
    regex.scanner_ = find_scanner(pattern);
    return regex;
}

Result<Regex> Regex::literal(std::string_view text) {
    auto code = compile_pcre2(text, PCRE2_LITERAL, text);
    if (!code) return code.error();
    Regex regex;
    regex.pattern_ = text;
    regex.code_ = std::move(*code);
    return regex;
}

Regex::Matcher::Matcher(const Regex& regex)
    : regex_(regex), match_data_(pcre2_match_data_create(1, nullptr), [](void* data) {
          pcre2_match_data_free(static_cast<pcre2_match_data*>(data));
      }) {}

Status Regex::Matcher::find_all(std::string_view text, std::vector<Range>& matches) {
    matches.clear();
    if (text.empty()) return {};
    if (regex_.scanner_ != nullptr) {
        for (std::size_t begin = 0; begin < text.size();) {
            const std::size_t end = regex_.scanner_(text, begin);
            matches.push_back({begin, end});
            begin = end;
        }
        return {};
    }
    if (regex_.pattern_ == digit_groups_pattern) return find_digit_groups(text, matches);
    for (std::size_t from = 0; from <= text.size();) {
        Range match;
        const auto found = find(text, from, match);
        if (!found) return found.error();
        if (!*found) break;
        from = match.end;
        if (match.begin == match.end) {
            from += from < text.size() ? utf8_length(text.substr(from)) : 1;
            if (!matches.empty() && matches.back().end == match.begin) continue;
        }
        matches.push_back(match);
    }
    return {};
}

Result<std::string> Regex::Matcher::replace_all(std::string_view text, std::string_view replacement) {
    std::vector<Range> matches;
    if (Status s = find_all(text, matches); !s) return s.error();
    std::string replaced;
    std::size_t copied = 0;
    for (const auto [begin, end] : matches) {
        replaced += text.substr(copied, begin - copied);
        replaced += replacement;
        copied = end;
    }
    return replaced += text.substr(copied);
}

Result<bool> Regex::Matcher::find(std::string_view text, std::size_t from, Range& match) {
    const auto* code = static_cast<const pcre2_code*>(regex_.code_.get());
    auto* data = static_cast<pcre2_match_data*>(match_data_.get());
    const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
    int count = pcre2_jit_match(code, subject, text.size(), from, 0, data, nullptr);
    if (count == PCRE2_ERROR_JIT_STACKLIMIT || count == PCRE2_ERROR_JIT_BADOPTION ||
        count == PCRE2_ERROR_MATCHLIMIT) {
        // The interpreter keeps its state on the heap. An honest pattern backtracks some times per byte at
        // most.
        const std::shared_ptr<pcre2_match_context> context(pcre2_match_context_create(nullptr),
                                                           pcre2_match_context_free);
        const std::size_t limit = std::min<std::size_t>(10'000'000 + 16 * text.size(), UINT32_MAX);
        pcre2_set_match_limit(context.get(), static_cast<std::uint32_t>(limit));
        pcre2_set_heap_limit(context.get(), 1 << 20);  // KiB
        count = pcre2_match(code, subject, text.size(), from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, data,
                            context.get());
    }
    if (count == PCRE2_ERROR_NOMATCH) return false;
    if (count < 0) return refuse(regex_.pattern_, "gives up on this text: " + pcre2_message(count));
    const PCRE2_SIZE* pair = pcre2_get_ovector_pointer(data);
    if (pair[0] > pair[1]) return refuse(regex_.pattern_, "ends before it begins (\\K in a lookahead)");
    match = {pair[0], pair[1]};
    return true;
}

}  // namespace troupe
