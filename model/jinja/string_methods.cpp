// Methods of str.
#include <algorithm>

#include "model/jinja/error.hpp"
#include "model/jinja/methods.hpp"
#include "model/jinja/print.hpp"
#include "model/jinja/unicode.hpp"

namespace troupe::jinja {
namespace {

using unicode::Side;

// A result that is markup when the string is.
Value like(const Value& self, std::string_view text) { return Value(std::string(text), self.is_markup()); }

template <std::string (*change)(std::string_view)>
Value changed(Runtime&, const Value& self, const Bound&) {
    return like(self, change(self.text()));
}

std::string swap_case(std::string_view text) {
    std::string result;
    for (const std::string_view c : unicode::characters(text)) {
        size_t at = 0;
        const char32_t code_point = unicode::decode(c, at);
        if (unicode::is_upper(code_point))
            result += unicode::lower(c);
        else
            result += unicode::is_lower(code_point) ? unicode::upper(c) : std::string(c);
    }
    return result;
}

// lower(upper(c)) is Unicode's full case folding but for the dotless i.
std::string fold_case(std::string_view text) {
    std::string result;
    for (const std::string_view c : unicode::characters(text))
        result += c == "ı" ? std::string(c) : unicode::lower(unicode::upper(c));
    return result;
}

template <Side side>
Value strip(Runtime&, const Value& self, const Bound& arguments) {
    std::optional<std::string_view> set;
    if (arguments.given(0)) set = arguments.text(0);
    return like(self, unicode::strip(self.text(), side, set));
}

template <bool (*predicate)(char32_t)>
Value all_are(Runtime&, const Value& self, const Bound&) {
    return unicode::all_of(self.text(), predicate);
}
Value is_title(Runtime&, const Value& self, const Bound&) {
    bool found = false, inside = false;
    for (size_t i = 0; i < self.text().size();) {
        const char32_t c = unicode::decode(self.text(), i);
        const bool upper = unicode::is_upper(c), lower = unicode::is_lower(c);
        if ((upper && inside) || (lower && !inside)) return false;
        inside = upper || lower;
        found = found || inside;
    }
    return found;
}
Value is_printable(Runtime&, const Value& self, const Bound&) {
    return self.text().empty() || unicode::all_of(self.text(), unicode::is_printable);
}
bool is_alphanumeric(char32_t c) { return unicode::is_alpha(c) || unicode::is_decimal(c); }
Value is_ascii_text(Runtime&, const Value& self, const Bound&) {
    const std::string& text = self.text();
    return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

template <bool (*wanted)(char32_t), bool (*other)(char32_t)>
Value has_case(Runtime&, const Value& self, const Bound&) {
    return unicode::has_case(self.text(), wanted, other);
}

// --- splitting ---

Value to_list(Runtime& runtime, const Value& self, const std::vector<std::string_view>& parts) {
    runtime.charge_product(parts.size(), sizeof(Value) + sizeof(String));
    runtime.charge(self.text().size());
    std::vector<Value> items;
    for (const std::string_view part : parts) items.push_back(like(self, part));
    return Value::list(std::move(items));
}

// Words between white space, at most `limit` splits from the left.
std::vector<std::string_view> split_words(std::string_view text, size_t limit) {
    std::vector<std::string_view> parts;
    text = unicode::strip(text, Side::left);
    while (!text.empty()) {
        if (parts.size() == limit) {
            parts.push_back(text);
            break;
        }
        size_t end = 0;
        for (size_t next = 0; end < text.size(); end = next)
            if (unicode::is_space(unicode::decode(text, next))) break;
        parts.push_back(text.substr(0, end));
        text = unicode::strip(text.substr(end), Side::left);
    }
    return parts;
}

std::vector<std::string_view> split_at(std::string_view text, std::string_view separator, size_t limit) {
    std::vector<std::string_view> parts;
    size_t begin = 0;
    while (parts.size() < limit) {
        const size_t at = unicode::find(text, separator, begin);
        if (at == std::string_view::npos) break;
        parts.push_back(text.substr(begin, at - begin));
        begin = at + separator.size();
    }
    parts.push_back(text.substr(begin));
    return parts;
}

size_t split_limit(const Bound& arguments) {
    const int64_t limit = arguments.integer(1, -1);
    return limit < 0 ? SIZE_MAX : static_cast<size_t>(limit);
}

Value split(Runtime& runtime, const Value& self, const Bound& arguments) {
    const size_t limit = split_limit(arguments);
    if (!arguments.given(0)) return to_list(runtime, self, split_words(self.text(), limit));
    if (arguments.text(0).empty()) fail("empty separator");
    return to_list(runtime, self, split_at(self.text(), arguments.text(0), limit));
}

// Words, with at most `limit` splits from the right.
std::vector<std::string_view> rsplit_words(std::string_view text, size_t limit) {
    std::vector<std::string_view> words = split_words(text, SIZE_MAX);
    if (words.size() <= limit) return words;
    const size_t rest =
        limit == 0 ? text.size() : static_cast<size_t>(words[words.size() - limit].data() - text.data());
    words.erase(words.begin(), words.end() - static_cast<ptrdiff_t>(limit));
    words.insert(words.begin(), unicode::strip(text.substr(0, rest), Side::right));
    return words;
}

std::vector<std::string_view> rsplit_at(std::string_view text, std::string_view separator, size_t limit) {
    std::vector<std::string_view> parts;
    while (parts.size() < limit) {
        const size_t at = text.rfind(separator);
        if (at == std::string_view::npos) break;
        parts.push_back(text.substr(at + separator.size()));
        text = text.substr(0, at);
    }
    parts.push_back(text);
    std::reverse(parts.begin(), parts.end());
    return parts;
}

Value rsplit(Runtime& runtime, const Value& self, const Bound& arguments) {
    const size_t limit = split_limit(arguments);
    if (!arguments.given(0)) return to_list(runtime, self, rsplit_words(self.text(), limit));
    if (arguments.text(0).empty()) fail("empty separator");
    return to_list(runtime, self, rsplit_at(self.text(), arguments.text(0), limit));
}

Value splitlines(Runtime& runtime, const Value& self, const Bound& arguments) {
    return to_list(runtime, self, unicode::lines(self.text(), arguments.flag(0, false)));
}

template <bool from_right>
Value partition(Runtime&, const Value& self, const Bound& arguments) {
    const std::string_view text = self.text();
    const std::string& separator = arguments.text(0);
    if (separator.empty()) fail("empty separator");
    const size_t at = from_right ? text.rfind(separator) : unicode::find(text, separator);
    if (at == std::string_view::npos)
        return from_right ? Value::tuple({like(self, ""), like(self, ""), self})
                          : Value::tuple({self, like(self, ""), like(self, "")});
    return Value::tuple({like(self, text.substr(0, at)), like(self, separator),
                         like(self, text.substr(at + separator.size()))});
}

// --- searching ---

// text[start:end] of the two parameters from `first` on, and where it begins in bytes. Nothing when start is
// past the end.
std::optional<std::pair<std::string_view, size_t>> window(const Value& self, const Bound& arguments,
                                                          size_t first) {
    const std::string_view text = self.text();
    if (!arguments.given(first) && !arguments.given(first + 1)) return std::pair(text, size_t{0});
    const auto size = static_cast<int64_t>(unicode::length(text));
    const auto bound = [&](size_t parameter, int64_t missing) {
        const int64_t index = arguments.given(parameter) ? arguments.integer(parameter, 0) : missing;
        return index < 0 ? std::max<int64_t>(index + size, 0) : index;
    };
    const int64_t start = bound(first, 0), end = std::min(bound(first + 1, size), size);
    if (start > end) return std::nullopt;
    const size_t begin = unicode::byte_offset(text, static_cast<size_t>(start));
    return std::pair(
        text.substr(begin, unicode::byte_offset(text.substr(begin), static_cast<size_t>(end - start))),
        begin);
}

template <bool at_start>
Value affixed(Runtime&, const Value& self, const Bound& arguments) {
    const auto part = window(self, arguments, 1);
    const auto matches = [&](const Value& affix) {
        if (!affix.is_string())
            fail(std::string(at_start ? "startswith" : "endswith") +
                 " first arg must be str or a tuple of str, not " + std::string(affix.type_name()));
        return part &&
               (at_start ? part->first.starts_with(affix.text()) : part->first.ends_with(affix.text()));
    };
    const Value& affix = arguments.at(0);
    if (affix.is_undefined()) fail(affix.undefined_message());
    if (!affix.is_sequence() || !affix.sequence().is_tuple()) return matches(affix);
    const auto& items = affix.sequence().items;
    return std::any_of(items.begin(), items.end(), matches);
}

template <bool from_right, bool must_exist>
Value find(Runtime&, const Value& self, const Bound& arguments) {
    const std::string& needle = arguments.text(0);
    const auto part = window(self, arguments, 1);
    size_t at = std::string_view::npos;
    if (part) at = from_right ? part->first.rfind(needle) : unicode::find(part->first, needle);
    if (at != std::string_view::npos)
        return unicode::length(std::string_view(self.text()).substr(0, part->second + at));
    if (must_exist) fail("substring not found");
    return -1;
}

Value count(Runtime&, const Value& self, const Bound& arguments) {
    const auto part = window(self, arguments, 1);
    if (!part) return 0;
    const std::string& needle = arguments.text(0);
    if (needle.empty()) return unicode::length(part->first) + 1;
    return split_at(part->first, needle, SIZE_MAX).size() - 1;
}

// --- making ---

Value replace(Runtime& runtime, const Value& self, const Bound& arguments) {
    return like(
        self, replaced(runtime, self.text(), arguments.text(0), arguments.text(1), arguments.integer(2, -1)));
}

Value join(Runtime& runtime, const Value& self, const Bound& arguments) {
    std::string text;
    bool first = true;
    const Cursor next = iterate(runtime, arguments.at(0));
    for (Value item; next(item); first = false) {
        if (self.is_markup() && !item.is_markup()) {  // markup joins what it has escaped
            runtime.charge(item.extent().weight);
            item = Value(escape_html(text_of(item)));
        }
        if (!item.is_string())
            fail("sequence item: expected str instance, " + std::string(item.type_name()) + " found");
        runtime.charge(self.text().size() + item.text().size());
        if (!first) text += self.text();
        text += item.text();
    }
    return like(self, text);
}

Value format(Runtime& runtime, const Value& self, const Bound& arguments) {
    return like(self, format_braces(runtime, self.text(), arguments.all()));
}

// How much is to be added on each side; `left` of the padding's weight goes to the left.
template <Side side>
Value justify(Runtime& runtime, const Value& self, const Bound& arguments) {
    const std::string fill = arguments.has(1) ? arguments.text(1) : " ";
    if (unicode::length(fill) != 1) fail("The fill character must be exactly one character long");
    const auto size = static_cast<int64_t>(unicode::length(self.text()));
    const int64_t width = arguments.integer(0, 0);
    if (width <= size) return self;
    const auto padding = static_cast<size_t>(width - size);
    runtime.charge_product(padding, fill.size());
    // str.center puts the odd one on the left when the width is odd.
    const size_t centered = padding / 2 + (padding & static_cast<size_t>(width) & 1);
    const size_t left = side == Side::left ? 0 : side == Side::right ? padding : centered;
    std::string text;
    for (size_t i = 0; i < left; ++i) text += fill;
    text += self.text();
    for (size_t i = left; i < padding; ++i) text += fill;
    return like(self, text);
}

Value zfill(Runtime& runtime, const Value& self, const Bound& arguments) {
    const auto size = static_cast<int64_t>(unicode::length(self.text()));
    const int64_t width = arguments.integer(0, 0);
    if (width <= size) return self;
    runtime.charge(static_cast<size_t>(width));
    const bool sign = self.text().starts_with('-') || self.text().starts_with('+');
    std::string text = self.text();
    return like(self, text.insert(sign ? 1 : 0, static_cast<size_t>(width - size), '0'));
}

Value removeprefix(Runtime&, const Value& self, const Bound& arguments) {
    std::string_view text = self.text();
    if (text.starts_with(arguments.text(0))) text.remove_prefix(arguments.text(0).size());
    return like(self, text);
}
Value removesuffix(Runtime&, const Value& self, const Bound& arguments) {
    std::string_view text = self.text();
    if (text.ends_with(arguments.text(0))) text.remove_suffix(arguments.text(0).size());
    return like(self, text);
}

Value expandtabs(Runtime& runtime, const Value& self, const Bound& arguments) {
    const int64_t width = std::max<int64_t>(arguments.integer(0, 8), 0);
    std::string text;
    int64_t column = 0;
    for (const std::string_view c : unicode::characters(self.text())) {
        if (c == "\t") {
            const int64_t spaces = width == 0 ? 0 : width - column % width;
            runtime.charge(static_cast<size_t>(spaces));
            text.append(static_cast<size_t>(spaces), ' ');
            column += spaces;
            continue;
        }
        column = c == "\n" || c == "\r" ? 0 : column + 1;
        text += c;
    }
    return like(self, text);
}

constexpr Builtin table[] = {
    {"upper", "", changed<unicode::upper>},
    {"lower", "", changed<unicode::lower>},
    {"casefold", "", changed<fold_case>},
    {"capitalize", "", changed<unicode::capitalize>},
    {"title", "", changed<unicode::title>},
    {"swapcase", "", changed<swap_case>},
    {"strip", "chars", strip<Side::both>},
    {"lstrip", "chars", strip<Side::left>},
    {"rstrip", "chars", strip<Side::right>},
    {"isalpha", "", all_are<unicode::is_alpha>},
    {"isdigit", "", all_are<unicode::is_decimal>},
    {"isdecimal", "", all_are<unicode::is_decimal>},
    {"isnumeric", "", all_are<unicode::is_decimal>},
    {"isalnum", "", all_are<is_alphanumeric>},
    {"isspace", "", all_are<unicode::is_space>},
    {"isascii", "", is_ascii_text},
    {"istitle", "", is_title},
    {"isprintable", "", is_printable},
    {"isupper", "", has_case<unicode::is_upper, unicode::is_lower>},
    {"islower", "", has_case<unicode::is_lower, unicode::is_upper>},
    {"split", "sep maxsplit", split},
    {"rsplit", "sep maxsplit", rsplit},
    {"splitlines", "keepends", splitlines},
    {"partition", "sep!", partition<false>},
    {"rpartition", "sep!", partition<true>},
    {"startswith", "prefix! start end", affixed<true>},
    {"endswith", "suffix! start end", affixed<false>},
    {"find", "sub! start end", find<false, false>},
    {"rfind", "sub! start end", find<true, false>},
    {"index", "sub! start end", find<false, true>},
    {"rindex", "sub! start end", find<true, true>},
    {"count", "sub! start end", count},
    {"replace", "old! new! count", replace},
    {"join", "iterable!", join},
    {"format", "*", format},
    {"center", "width! fillchar", justify<Side::both>},
    {"ljust", "width! fillchar", justify<Side::left>},
    {"rjust", "width! fillchar", justify<Side::right>},
    {"zfill", "width!", zfill},
    {"removeprefix", "prefix!", removeprefix},
    {"removesuffix", "suffix!", removesuffix},
    {"expandtabs", "tabsize", expandtabs},
};

}  // namespace

std::string replaced(Runtime& runtime, std::string_view text, std::string_view from, std::string_view to,
                     int64_t limit) {
    const size_t most = limit < 0 ? SIZE_MAX : static_cast<size_t>(limit);
    std::string result;
    const auto add = [&](std::string_view part) {
        runtime.charge(part.size());
        result += part;
    };
    if (from.empty()) {  // before each character and at the end
        size_t count = 0;
        for (const std::string_view c : unicode::characters(text)) {
            if (count++ < most) add(to);
            add(c);
        }
        if (count < most) add(to);
        return result;
    }
    size_t begin = 0;
    for (size_t count = 0; count < most; ++count) {
        const size_t at = unicode::find(text, from, begin);
        if (at == std::string_view::npos) break;
        add(text.substr(begin, at - begin));
        add(to);
        begin = at + from.size();
    }
    add(text.substr(begin));
    return result;
}

std::span<const Builtin> string_methods() { return table; }

}  // namespace troupe::jinja
