// Tokens to statements.
#pragma once
#include <string>

#include "model/jinja/ast.hpp"

namespace troupe::jinja {

// Fails (TemplateError) with the line.
Block parse_template(const std::string& source);

}  // namespace troupe::jinja
