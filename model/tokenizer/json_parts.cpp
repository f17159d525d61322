#include "model/tokenizer/json_parts.hpp"

#include "model/formats/printable.hpp"
#include "model/tokenizer/utf8.hpp"

namespace troupe::tokenizer_json {

Error not_supported(std::string_view what, std::string_view type, std::string_view known) {
    return invalid_argument("The " + std::string(what) + " '" + printable(type) +
                            "' is not supported; supported are " + std::string(known) + ".");
}

std::optional<Json> member(const Json& object, std::string_view key) {
    Json value;
    if (object[key].get(value) || value.is_null()) return std::nullopt;
    return value;
}

Result<bool> bool_or(const Json& object, std::string_view key, bool fallback) {
    const auto value = member(object, key);
    bool flag = fallback;
    if (value && value->get(flag))
        return invalid_argument("'" + std::string(key) + "' should be true or false.");
    return flag;
}

Result<std::string_view> string_member(const Json& object, std::string_view key, std::string_view where) {
    std::string_view text;
    if (object[key].get(text)) {
        return invalid_argument("'" + std::string(key) + "' of " + std::string(where) +
                                " should be a string.");
    }
    return text;
}

Result<simdjson::dom::array> array_member(const Json& object, std::string_view key, std::string_view where) {
    simdjson::dom::array array;
    if (object[key].get(array)) {
        return invalid_argument("'" + std::string(key) + "' of " + std::string(where) +
                                " should be an array.");
    }
    return array;
}

Result<std::string_view> character_member(const Json& object, std::string_view key, std::string_view where) {
    const auto text = string_member(object, key, where);
    if (text && (text->empty() || utf8_length(*text) != text->size())) {
        return invalid_argument("'" + std::string(key) + "' of " + std::string(where) +
                                " should be one character.");
    }
    return text;
}

Result<Regex> pattern_member(const Json& object, std::string_view where) {
    std::string_view text;
    if (!object["pattern"]["String"].get(text)) return Regex::literal(text);
    if (!object["pattern"]["Regex"].get(text)) return Regex::compile(text);
    return invalid_argument("'pattern' of " + std::string(where) + " should be a String or a Regex.");
}

}  // namespace troupe::tokenizer_json
