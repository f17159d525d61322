// Tokens to statements.
#pragma once
#include <set>
#include <string>

#include "model/jinja/ast.hpp"

namespace troupe::jinja {

struct ParsedTemplate {
    Block block;
    std::set<std::string> names;  // that it reads: variables, functions, macros
};

// Fails (TemplateError) with the line.
ParsedTemplate parse_template(const std::string& source);

}  // namespace troupe::jinja
