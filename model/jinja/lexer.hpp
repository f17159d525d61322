// Template text to tokens. White space control (-, +, trim_blocks, lstrip_blocks) is done here.
#pragma once
#include <string>
#include <vector>

#include "model/jinja/value.hpp"

namespace troupe::jinja {

struct Token {
    enum class Type : unsigned char {
        data,
        variable_begin,
        variable_end,
        block_begin,
        block_end,
        name,
        string,
        number,
        op,
        end
    };
    Type type;
    int line;
    std::string text;  // data, name, the unescaped string, or the operator
    Value number;

    bool is_op(std::string_view symbol) const { return type == Type::op && text == symbol; }
    bool is_name(std::string_view name) const { return type == Type::name && text == name; }
};

// Ends with a token of type end. Fails (TemplateError) on text that is not a template.
std::vector<Token> tokenize(const std::string& source);

}  // namespace troupe::jinja
