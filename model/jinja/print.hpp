// Values as text, the way Python prints them.
#pragma once
#include <string>
#include <string_view>

#include "model/jinja/value.hpp"

namespace troupe::jinja {

std::string text_of(const Value& value);   // str(value); Undefined is empty
std::string repr_of(const Value& value);   // repr(value)
std::string ascii_of(const Value& value);  // ascii(value): repr with escapes for all beyond ASCII
std::string repr_of(const Dict& dict);
std::string repr_of(double number);  // shortest digits that read back: 1.0, 0.1, 1e+16, inf
std::string repr_of_string(std::string_view text);

// & < > " ' as HTML entities, as markupsafe writes them.
std::string escape_html(std::string_view text);

}  // namespace troupe::jinja
