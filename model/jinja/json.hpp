// JSON text to values and back, the latter as Python's json.dumps writes it.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "core/status.hpp"
#include "model/jinja/value.hpp"

namespace troupe::jinja {

// Errors: not JSON, nested too deeply, or a number outside 64 bits.
Result<Value> parse_json(std::string_view text);

struct JsonFormat {
    std::optional<std::string> indent;  // what each level is indented by; on one line without it
    std::string item_separator = ", ";
    std::string key_separator = ": ";
    bool ensure_ascii = false;
    bool sort_keys = false;
};

// Fails (TemplateError) on values that JSON does not have.
std::string to_json(const Value& value, const JsonFormat& format = {});

}  // namespace troupe::jinja
