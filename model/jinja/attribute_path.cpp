#include "model/jinja/attribute_path.hpp"

#include <algorithm>
#include <charconv>

#include "model/jinja/unicode.hpp"

namespace troupe::jinja {

static Value path_part(std::string_view text) {
    const bool digits =
        !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
    int64_t index = 0;
    if (digits && std::from_chars(text.data(), text.data() + text.size(), index).ec == std::errc())
        return index;
    return text;
}

AttributePath::AttributePath(const Value& attribute) {
    if (attribute.is_none()) return;
    if (!attribute.is_string()) {
        parts_.push_back(attribute);
        return;
    }
    std::string_view rest = attribute.text();
    for (size_t dot = rest.find('.'); dot != std::string_view::npos; dot = rest.find('.')) {
        parts_.push_back(path_part(rest.substr(0, dot)));
        rest.remove_prefix(dot + 1);
    }
    parts_.push_back(path_part(rest));
}

Value AttributePath::of(Runtime& runtime, Value item) const { return of(runtime, std::move(item), Value()); }

Value AttributePath::of(Runtime& runtime, Value item, const Value& fallback) const {
    for (const Value& part : parts_) {
        item = get_item(runtime, item, part);
        if (item.is_undefined() && !fallback.is_none()) item = fallback;
    }
    return item;
}

Value ignore_case(const Value& value) {
    return value.is_string() ? Value(unicode::lower(value.text())) : value;
}

}  // namespace troupe::jinja
