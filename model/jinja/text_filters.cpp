// Filters that make text of text.
#include <algorithm>

#include "model/jinja/error.hpp"
#include "model/jinja/json.hpp"
#include "model/jinja/methods.hpp"
#include "model/jinja/operators.hpp"
#include "model/jinja/print.hpp"
#include "model/jinja/unicode.hpp"

namespace troupe::jinja {

Value as_text(const Value& value) { return value.is_string() ? value : Value(text_of(value)); }

namespace {

// The input as text, charged for.
Value input_text(Runtime& runtime, const Value& self) {
    runtime.charge(self.extent().weight);
    return as_text(self);
}
Value like(const Value& self, std::string_view text) { return Value(std::string(text), self.is_markup()); }

template <std::string (*change)(std::string_view)>
Value changed(Runtime& runtime, const Value& self, const Bound&) {
    const Value text = input_text(runtime, self);
    return like(text, change(text.text()));
}

// Words begin after white space, hyphens and opening brackets.
std::string title(std::string_view text) {
    std::string result;
    bool begins = true;
    for (const std::string_view c : unicode::characters(text)) {
        size_t at = 0;
        const char32_t code_point = unicode::decode(c, at);
        if (unicode::is_space(code_point) || std::string_view("-({[<").find(c) != std::string_view::npos) {
            result += c;
            begins = true;
        } else {
            result += begins ? unicode::upper(c) : unicode::lower(c);
            begins = false;
        }
    }
    return result;
}

Value trim(Runtime& runtime, const Value& self, const Bound& arguments) {
    const Value text = input_text(runtime, self);
    std::optional<std::string_view> set;
    if (arguments.given(0)) set = arguments.text(0);
    return like(text, unicode::strip(text.text(), unicode::Side::both, set));
}

Value replace(Runtime& runtime, const Value& self, const Bound& arguments) {
    const Value text = input_text(runtime, self);
    const int64_t limit = arguments.given(2) ? arguments.integer(2, -1) : -1;
    return replaced(runtime, text.text(), text_of(arguments.at(0)), text_of(arguments.at(1)), limit);
}

Value string(Runtime& runtime, const Value& self, const Bound&) { return input_text(runtime, self); }
Value safe(Runtime& runtime, const Value& self, const Bound&) {
    return Value(input_text(runtime, self).text(), true);
}
Value escape(Runtime& runtime, const Value& self, const Bound&) {
    const Value text = input_text(runtime, self);
    return text.is_markup() ? text : Value(escape_html(text.text()), true);
}
Value force_escape(Runtime& runtime, const Value& self, const Bound&) {
    return Value(escape_html(input_text(runtime, self).text()), true);
}

Value format(Runtime& runtime, const Value& self, const Bound& arguments) {
    const auto& [positional, named] = arguments.all();
    if (!positional.empty() && !named.empty())
        fail("can't handle positional and keyword arguments at the same time");
    Dict mapping;
    for (const auto& [name, value] : named) mapping.set(Value(name), value);
    return format_percent(runtime, text_of(self), named.empty() ? Value::tuple(positional) : Value(mapping));
}

Value indent(Runtime& runtime, const Value& self, const Bound& arguments) {
    if (self.is_undefined()) fail(self.undefined_message());
    if (!self.is_string()) fail("indent: the input must be str, not " + std::string(self.type_name()));
    std::string prefix;
    if (arguments.has(0) && arguments.at(0).is_string()) {
        prefix = arguments.text(0);
    } else {
        const auto width = static_cast<size_t>(std::max<int64_t>(arguments.integer(0, 4), 0));
        runtime.charge(width);
        prefix.assign(width, ' ');
    }
    const bool first = arguments.flag(1, false), blank = arguments.flag(2, false);
    const std::string text = self.text() + "\n";
    const std::vector<std::string_view> lines = unicode::lines(text);
    runtime.charge_product(lines.size(), prefix.size());
    std::string result = first ? prefix : "";
    for (size_t i = 0; i < lines.size(); ++i) {
        if (i > 0) result += "\n";
        if (i > 0 && (blank || !lines[i].empty())) result += prefix;
        result += lines[i];
    }
    return like(self, result);
}

Value truncate(Runtime& runtime, const Value& self, const Bound& arguments) {
    if (!self.is_string() && !self.is_undefined())
        fail("truncate: the input must be str, not " + std::string(self.type_name()));
    const Value text = input_text(runtime, self);
    const int64_t length = arguments.integer(0, 255);
    const std::string end = arguments.has(2) ? arguments.text(2) : "...";
    const int64_t leeway = arguments.given(3) ? arguments.integer(3, 5) : 5;
    const auto end_length = static_cast<int64_t>(unicode::length(end));
    if (length < end_length)
        fail("truncate: expected length >= " + std::to_string(end_length) + ", got " +
             std::to_string(length));
    if (leeway < 0) fail("truncate: expected leeway >= 0, got " + std::to_string(leeway));
    const auto size = static_cast<int64_t>(unicode::length(text.text()));
    if (size - leeway <= length) return text;
    std::string kept =
        text.text().substr(0, unicode::byte_offset(text.text(), static_cast<size_t>(length - end_length)));
    const size_t word_end = kept.rfind(' ');
    if (!arguments.flag(1, false) && word_end != std::string::npos) kept.resize(word_end);
    return like(text, kept + end);
}

Value center(Runtime& runtime, const Value& self, const Bound& arguments) {
    Arguments width;
    width.positional.push_back(arguments.value(0, 80));
    return invoke(runtime, *find_in(string_methods(), "center"), input_text(runtime, self), width);
}

bool is_word(char32_t c) { return c == '_' || unicode::is_alpha(c) || unicode::is_decimal(c); }

Value wordcount(Runtime& runtime, const Value& self, const Bound&) {
    const Value text = input_text(runtime, self);
    int64_t count = 0;
    bool inside = false;
    for (size_t i = 0; i < text.text().size();) {
        const bool word = is_word(unicode::decode(text.text(), i));
        if (word && !inside) ++count;
        inside = word;
    }
    return count;
}

// Tags and comments go, white space becomes single blanks, entities become characters.
Value striptags(Runtime& runtime, const Value& self, const Bound&) {
    std::string text = input_text(runtime, self).text();
    const auto remove = [&](std::string_view open, std::string_view close) {
        std::string kept;
        size_t at = 0;
        while (true) {
            const size_t begin = unicode::find(text, open, at);
            const size_t end =
                begin == std::string::npos ? begin : unicode::find(text, close, begin + open.size());
            if (end == std::string::npos) break;
            kept.append(text, at, begin - at);
            at = end + close.size();
        }
        text = kept + text.substr(at);
    };
    remove("<!--", "-->");
    remove("<", ">");
    std::string result;
    bool gap = false;
    for (const std::string_view c : unicode::characters(text)) {
        size_t at = 0;
        if (unicode::is_space(unicode::decode(c, at))) {
            gap = !result.empty();
            continue;
        }
        if (std::exchange(gap, false)) result += ' ';
        result += c;
    }
    static constexpr std::pair<std::string_view, std::string_view> entities[] = {
        {"&lt;", "<"}, {"&gt;", ">"}, {"&#34;", "\""}, {"&quot;", "\""}, {"&#39;", "'"}, {"&amp;", "&"}};
    for (const auto& [entity, character] : entities)
        result = replaced(runtime, result, entity, character, -1);
    return result;
}

Value urlencode(Runtime& runtime, const Value& self, const Bound&) {
    const auto quote = [&](const Value& value, std::string_view safe_characters, bool plus) {
        static constexpr char hex[] = "0123456789ABCDEF";
        std::string out;
        const Value text = input_text(runtime, value);
        for (const char c : text.text()) {
            const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                               safe_characters.find(c) != std::string_view::npos;
            const auto byte = static_cast<unsigned char>(c);
            if (plain)
                out += c;
            else if (c == ' ' && plus)
                out += '+';
            else
                ((out += '%') += hex[byte >> 4]) += hex[byte & 15];
        }
        return out;
    };
    if (self.is_string() || !is_iterable(self)) return quote(self, "_.-~/", false);
    std::vector<Value> pairs;
    if (self.is_dict())
        for (const auto& [key, value] : self.dict().entries()) pairs.push_back(Value::tuple({key, value}));
    else
        pairs = to_items(runtime, self);
    std::string out;
    for (const Value& pair : pairs) {
        const std::vector<Value> parts = to_items(runtime, pair);
        if (parts.size() != 2) fail("urlencode: expected pairs");
        if (!out.empty()) out += '&';
        out += quote(parts[0], "_.-~", true) + "=" + quote(parts[1], "_.-~", true);
    }
    return out;
}

// json.dumps(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False)
Value tojson(Runtime& runtime, const Value& self, const Bound& arguments) {
    JsonFormat json;
    json.ensure_ascii = arguments.flag(0, false);
    json.sort_keys = arguments.flag(3, false);
    if (arguments.given(1)) {
        json.item_separator = ",";
        if (arguments.at(1).is_string()) {
            json.indent = arguments.text(1);
        } else {
            const int64_t width = std::max<int64_t>(arguments.integer(1, 0), 0);
            runtime.charge(static_cast<size_t>(width));
            json.indent = std::string(static_cast<size_t>(width), ' ');
        }
    }
    if (arguments.given(2)) {
        const std::vector<Value> separators = to_items(runtime, arguments.at(2));
        if (separators.size() != 2 || !separators[0].is_string() || !separators[1].is_string())
            fail("tojson: separators must be two strings");
        json.item_separator = separators[0].text();
        json.key_separator = separators[1].text();
    }
    const Extent extent = self.extent();
    const size_t per_value = json.item_separator.size() + json.key_separator.size() + 8 +
                             (json.indent ? json.indent->size() * static_cast<size_t>(extent.depth) : 0);
    runtime.charge_product(extent.weight, per_value / 8 + 1);
    return to_json(self, json);
}

constexpr Builtin table[] = {
    {"upper", "", changed<unicode::upper>},
    {"lower", "", changed<unicode::lower>},
    {"capitalize", "", changed<unicode::capitalize>},
    {"title", "", changed<title>},
    {"trim", "chars", trim},
    {"replace", "old! new! count", replace},
    {"string", "", string},
    {"safe", "", safe},
    {"escape", "", escape},
    {"e", "", escape},
    {"forceescape", "", force_escape},
    {"format", "*", format},
    {"indent", "width first blank", indent},
    {"truncate", "length killwords end leeway", truncate},
    {"center", "width", center},
    {"wordcount", "", wordcount},
    {"striptags", "", striptags},
    {"urlencode", "", urlencode},
    {"tojson", "ensure_ascii indent separators sort_keys", tojson},
};

}  // namespace

std::span<const Builtin> text_filters() { return table; }

}  // namespace troupe::jinja
