#include "net/fields.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "net/bad_number.hpp"
#include "net/json_writer.hpp"

namespace troupe::net {
namespace {

constexpr std::size_t kMaxDepth = 64;
constexpr std::size_t kShownBytes = 60;         // of a wrong value, in an error
constexpr std::size_t kMaxUnknownFields = 256;  // remembered, so that a hostile client cannot fill the log

std::string plain_number(double value) {
    char text[32];
    return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

Error invalid_number(std::string_view text) {
    const auto bad = find_bad_number(text);
    if (!bad || bad->path.empty()) {
        return invalid_argument("the request body holds a number that is malformed or out of range", {},
                                "invalid_json");
    }
    return invalid_argument(bad->path + " is " + bad->text + ", which is malformed or too large for a number",
                            bad->path, "invalid_json");
}

Error invalid_json(simdjson::error_code code, std::string_view text) {
    switch (code) {
        case simdjson::EMPTY:
            return invalid_argument("the request body is empty; send a JSON object");
        case simdjson::UTF8_ERROR:
            return invalid_argument("the request body is not valid UTF-8", {}, "invalid_json");
        case simdjson::DEPTH_ERROR:
            return invalid_argument(
                "the request body is nested more than " + std::to_string(kMaxDepth) + " deep", {},
                "invalid_json");
        case simdjson::NUMBER_ERROR:
            return invalid_number(text);
        case simdjson::STRING_ERROR:
        case simdjson::UNESCAPED_CHARS:
        case simdjson::UNCLOSED_STRING:
            return invalid_argument(
                "the request body holds a malformed string (an open quote, a bare control character, a bad "
                "escape or "
                "half a surrogate pair)",
                {}, "invalid_json");
        default:
            return invalid_argument("the request body is not valid JSON", {}, "invalid_json");
    }
}

}  // namespace

Result<std::unique_ptr<JsonDocument>> parse_json(std::string_view text) {
    auto document = std::make_unique<JsonDocument>();
    if (text.empty()) return invalid_json(simdjson::EMPTY, text);
    if (auto code = document->parser.allocate(text.size(), kMaxDepth)) return invalid_json(code, text);
    if (auto code = document->parser.parse(text.data(), text.size()).get(document->root))
        return invalid_json(code, text);
    return document;
}

Error wrong_value(const FieldValue& value, std::string_view allowed) {
    return invalid_argument(value.path + " must be " + std::string(allowed) + ", got " +
                                shortened(simdjson::to_string(value.json), kShownBytes),
                            value.path);
}

Result<double> read_number(const FieldValue& value, double min, double max) {
    double number = 0;
    if (value.json.get(number) == simdjson::SUCCESS && number >= min && number <= max) return number;
    return wrong_value(value, "a number between " + plain_number(min) + " and " + plain_number(max));
}

Result<std::int64_t> read_integer(const FieldValue& value, std::int64_t min, std::int64_t max) {
    std::int64_t number = 0;
    double fraction = 0;
    bool whole = value.json.get(number) == simdjson::SUCCESS;
    // 16.0 is a whole number too: JSON does not tell integers apart, and some clients write all numbers so.
    if (!whole && value.json.is_double() && value.json.get(fraction) == simdjson::SUCCESS &&
        std::abs(fraction) < 9007199254740992.0 && std::trunc(fraction) == fraction) {
        number = static_cast<std::int64_t>(fraction);
        whole = true;
    }
    if (whole && number >= min && number <= max) return number;
    return wrong_value(value, "an integer between " + std::to_string(min) + " and " + std::to_string(max));
}

Result<bool> read_bool(const FieldValue& value) {
    bool flag = false;
    if (value.json.get(flag) == simdjson::SUCCESS) return flag;
    return wrong_value(value, "true or false");
}

Result<std::string> read_string(const FieldValue& value) {
    std::string_view text;
    if (value.json.get(text) == simdjson::SUCCESS) return std::string(text);
    return wrong_value(value, "a string");
}

Status for_each_member(const FieldValue& object,
                       const std::function<Status(std::string_view, const FieldValue&)>& visit) {
    simdjson::dom::object members;
    if (object.json.get(members) != simdjson::SUCCESS) return wrong_value(object, "an object");
    const std::string prefix = object.path.empty() ? "" : object.path + ".";
    std::vector<std::string_view> names;
    for (const auto member : members) names.push_back(member.key);
    std::sort(names.begin(), names.end());
    if (const auto twice = std::adjacent_find(names.begin(), names.end()); twice != names.end()) {
        const std::string name = prefix + shortened(*twice, kShownBytes);
        return invalid_argument(name + " is given twice; give it once", name);
    }
    for (const auto member : members) {
        if (auto status = visit(member.key, {member.value, prefix + std::string(member.key)}); !status)
            return status;
    }
    return {};
}

Status for_each_element(const FieldValue& array, const std::function<Status(const FieldValue&)>& visit) {
    simdjson::dom::array elements;
    if (array.json.get(elements) != simdjson::SUCCESS) return wrong_value(array, "a list");
    std::size_t index = 0;
    for (const auto element : elements) {
        const FieldValue value{element, array.path + "[" + std::to_string(index++) + "]"};
        if (auto status = visit(value); !status) return status;
    }
    return {};
}

bool is_neutral(const Json& json, const NeutralField& field) {
    double number = 0;
    const bool numeric = json.is_number() && json.get(number) == simdjson::SUCCESS;
    const std::string text = numeric ? std::string() : simdjson::to_string(json);
    return json.is_null() ||
           std::any_of(field.allowed.begin(), field.allowed.end(), [&](std::string_view allowed) {
               return numeric ? plain_number(number) == allowed : text == allowed;
           });
}

Error not_supported(const FieldValue& value, const NeutralField& field) {
    std::string allowed;
    for (const std::string_view one : field.allowed)
        allowed += (allowed.empty() ? " or set it to " : " or ") + std::string(one);
    return invalid_argument(value.path + " is not supported yet: leave it out" + allowed + " (got " +
                                shortened(simdjson::to_string(value.json), kShownBytes) + ")",
                            value.path, "unsupported_parameter");
}

void UnknownFields::note(std::string_view endpoint, std::string_view field) {
    std::string name;
    append_json_string(name, shortened(field, kShownBytes));
    const std::lock_guard lock(mutex_);
    if (seen_.size() >= kMaxUnknownFields || !seen_.insert(std::string(endpoint) + name).second) return;
    spdlog::warn("{}: unknown field {} is ignored (said once)", endpoint, name);
}

}  // namespace troupe::net
