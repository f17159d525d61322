// The tables behind find_method and find_filter. Internal to the builtins.
#pragma once
#include <span>

#include "model/jinja/builtins.hpp"

namespace troupe::jinja {

const Builtin* find_in(std::span<const Builtin> table, std::string_view name);

std::span<const Builtin> string_methods();
std::span<const Builtin> text_filters();
std::span<const Builtin> sequence_filters();
std::span<const Builtin> value_filters();

// text.replace(from, to, limit); all of them when the limit is negative.
std::string replaced(Runtime& runtime, std::string_view text, std::string_view from, std::string_view to,
                     int64_t limit);

// "{} {name}".format(...)
std::string format_braces(Runtime& runtime, const std::string& format, const Arguments& arguments);

}  // namespace troupe::jinja
