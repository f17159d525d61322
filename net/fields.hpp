// How request bodies are read: a table says each field's name and how its value is read, and every error
// names the field, what was wrong and what is allowed. No sockets.
#pragma once
#include <simdjson.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "core/status.hpp"

namespace troupe::net {

using Json = simdjson::dom::element;

// A parsed body. The elements live as long as it does.
struct JsonDocument {
    simdjson::dom::parser parser;
    Json root;
};
// Refuses what is not one valid JSON value in valid UTF-8, and nesting beyond 64.
Result<std::unique_ptr<JsonDocument>> parse_json(std::string_view text);

// A value and the name that errors call it by: "messages[1].content".
struct FieldValue {
    Json json;
    std::string path;
};

// `path` must be `allowed`, got what it is.
Error wrong_value(const FieldValue& value, std::string_view allowed);

Result<double> read_number(const FieldValue& value, double min, double max);
Result<std::int64_t> read_integer(const FieldValue& value, std::int64_t min, std::int64_t max);
Result<bool> read_bool(const FieldValue& value);
Result<std::string> read_string(const FieldValue& value);

template <class T, class U>
Status assign(T& target, Result<U> result) {
    if (!result) return std::move(result).error();
    target = std::move(result).value();
    return {};
}
template <class T>  // an integer, or an optional one
Status read_integer_into(T& target, const FieldValue& value, std::int64_t min, std::int64_t max) {
    auto result = read_integer(value, min, max);
    if (!result) return std::move(result).error();
    if constexpr (std::is_integral_v<T>) {
        target = static_cast<T>(result.value());
    } else {
        target = static_cast<typename T::value_type>(result.value());
    }
    return {};
}

// Calls `visit` for each member; a member that occurs twice is an error, because readers disagree on which
// counts.
Status for_each_member(const FieldValue& object,
                       const std::function<Status(std::string_view, const FieldValue&)>& visit);
Status for_each_element(const FieldValue& array, const std::function<Status(const FieldValue&)>& visit);

template <class Request>
struct Field {
    std::string_view name;
    Status (*read)(Request&, const FieldValue&);
};

// A field of the API that has no effect here yet: accepted at a value that asks for nothing.
struct NeutralField {
    std::string_view name;
    std::vector<std::string_view> allowed;  // JSON texts; null is always allowed; empty: only null
};

bool is_neutral(const Json& json, const NeutralField& field);
Error not_supported(const FieldValue& value, const NeutralField& field);

template <class Request>
struct Schema {
    std::vector<Field<Request>> fields;
    std::vector<NeutralField> neutral;
    std::vector<std::string_view> ignored;  // known, and without effect whatever they hold
};

// Names of fields that nobody knows, each reported once. Bounded; any thread.
class UnknownFields {
  public:
    void note(std::string_view endpoint, std::string_view field);

  private:
    std::mutex mutex_;
    std::set<std::string> seen_;
};

// Fills `request` from an object. A null means that the field is absent.
template <class Request>
Status read_request(const Json& root, const Schema<Request>& schema, std::string_view endpoint,
                    UnknownFields& unknown, Request& request) {
    const auto visit = [&](std::string_view name, const FieldValue& value) -> Status {
        if (value.json.is_null()) return {};
        for (const Field<Request>& field : schema.fields) {
            if (field.name == name) return field.read(request, value);
        }
        for (const NeutralField& field : schema.neutral) {
            if (field.name == name)
                return is_neutral(value.json, field) ? Status() : not_supported(value, field);
        }
        for (const std::string_view ignored : schema.ignored) {
            if (ignored == name) return {};
        }
        unknown.note(endpoint, name);
        return {};
    };
    if (!root.is_object()) return wrong_value({root, "the request body"}, "a JSON object");
    return for_each_member({root, ""}, visit);
}

}  // namespace troupe::net
