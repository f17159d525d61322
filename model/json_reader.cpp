#include "model/json_reader.hpp"

#include <algorithm>
#include <limits>

namespace troupe {

std::optional<simdjson::dom::element> JsonReader::find(std::string_view name) const {
    simdjson::dom::element element;
    if (object_.at_key(name).get(element) != simdjson::SUCCESS || element.is_null()) return std::nullopt;
    return element;
}

bool JsonReader::has(std::string_view name) const {
    return object_.at_key(name).error() == simdjson::SUCCESS;
}

template <class T>
void JsonReader::read_integer(std::string_view name, T& value) {
    const auto element = find(name);
    if (!element) return;
    std::int64_t number = 0;
    if (element->get(number) != simdjson::SUCCESS || number < std::numeric_limits<T>::min() ||
        number > std::numeric_limits<T>::max()) {
        return fail("\"" + std::string(name) + "\" must be an integer from " +
                    std::to_string(std::numeric_limits<T>::min()) + " to " +
                    std::to_string(std::numeric_limits<T>::max()) + ".");
    }
    value = static_cast<T>(number);
}

void JsonReader::read(std::string_view name, std::uint32_t& value) { read_integer(name, value); }
void JsonReader::read(std::string_view name, std::int32_t& value) { read_integer(name, value); }

void JsonReader::read(std::string_view name, double& value) {
    const auto element = find(name);
    if (element && element->get(value) != simdjson::SUCCESS)
        fail("\"" + std::string(name) + "\" must be a number.");
}

void JsonReader::read(std::string_view name, float& value) {
    double number = value;
    read(name, number);
    value = static_cast<float>(number);
}

void JsonReader::read(std::string_view name, bool& value) {
    const auto element = find(name);
    if (element && element->get(value) != simdjson::SUCCESS) {
        fail("\"" + std::string(name) + "\" must be true or false.");
    }
}

void JsonReader::read(std::string_view name, std::string& value) {
    const auto element = find(name);
    if (!element) return;
    std::string_view text;
    if (element->get(text) != simdjson::SUCCESS)
        return fail("\"" + std::string(name) + "\" must be a string.");
    value = text;
}

template <class Stored, class T>
void JsonReader::read_list(std::string_view name, std::vector<T>& values, const char* kind) {
    const auto element = find(name);
    if (!element) return;
    const auto wrong = [&] { fail("\"" + std::string(name) + "\" must be a list of " + kind + "."); };
    simdjson::dom::array list;
    if (element->get(list) != simdjson::SUCCESS) return wrong();
    values.clear();
    for (const simdjson::dom::element item : list) {
        Stored value{};
        if (item.get(value) != simdjson::SUCCESS) return wrong();
        values.push_back(static_cast<T>(value));
    }
}

void JsonReader::read(std::string_view name, std::vector<std::uint32_t>& values) {
    std::vector<std::uint64_t> wide;
    read_list<std::uint64_t>(name, wide, "integers, none negative");
    values.clear();
    for (const std::uint64_t value : wide)
        values.push_back(static_cast<std::uint32_t>(std::min<std::uint64_t>(value, UINT32_MAX)));
}
void JsonReader::read(std::string_view name, std::vector<float>& values) {
    read_list<double>(name, values, "numbers");
}
void JsonReader::read(std::string_view name, std::vector<std::string>& values) {
    read_list<std::string_view>(name, values, "strings");
}

std::optional<simdjson::dom::object> JsonReader::object(std::string_view name) {
    const auto element = find(name);
    if (!element) return std::nullopt;
    simdjson::dom::object inner;
    if (element->get(inner) != simdjson::SUCCESS) {
        fail("\"" + std::string(name) + "\" must be an object.");
        return std::nullopt;
    }
    return inner;
}

void JsonReader::require(std::string_view name, std::uint32_t& value) {
    if (!find(name)) return fail("\"" + std::string(name) + "\" is missing.");
    read(name, value);
}

void JsonReader::fail(const std::string& what) {
    if (status_) status_ = invalid_argument(where_ + ": " + what, "model");
}

}  // namespace troupe
