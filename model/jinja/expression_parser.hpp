// Expressions, by recursive descent with the precedences of Jinja:
// inline if, or, and, not, comparisons, + -, ~, * / // %, **, unary, then postfix, filters and tests.
#pragma once
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "model/jinja/ast.hpp"
#include "model/jinja/token_stream.hpp"

namespace troupe::jinja {

class ExpressionParser {
  public:
    explicit ExpressionParser(TokenStream& tokens) : tokens_(tokens) {}

    ExpressionPtr parse(bool with_conditional = true);
    // Comma-separated expressions make a tuple. Stops at `stop_name`, if given.
    ExpressionPtr parse_tuple(bool with_conditional = true, std::string_view stop_name = {},
                              bool in_parentheses = false);
    // name | filter | filter: the chain after `input`, which may be null (see ast.hpp).
    ExpressionPtr parse_filters(ExpressionPtr input, bool starts_with_name = false);

    // The special names (caller, varargs, kwargs) read since the set was made; see MacroDefinition.
    std::set<std::string> special_names;

    // All names that are read.
    std::set<std::string> names;

    // An unknown filter or test is an error of the template, but inside an {% if %} (or an inline if) it is
    // one only when it is reached, as Jinja has it. Set by the statements' parser.
    bool inside_if = false;

  private:
    struct Nesting;

    void check_names();

    ExpressionPtr parse_conditional();
    ExpressionPtr parse_or();
    ExpressionPtr parse_and();
    ExpressionPtr parse_not();
    ExpressionPtr parse_comparison();
    ExpressionPtr parse_sum();
    ExpressionPtr parse_concatenation();
    ExpressionPtr parse_product();
    ExpressionPtr parse_power();
    ExpressionPtr parse_unary(bool with_filters);
    ExpressionPtr parse_primary();
    ExpressionPtr parse_name();
    ExpressionPtr parse_list();
    ExpressionPtr parse_dict();
    ExpressionPtr parse_postfix(ExpressionPtr expression);
    ExpressionPtr parse_filters_and_tests(ExpressionPtr expression);
    ExpressionPtr parse_test(ExpressionPtr input);
    ExpressionPtr parse_subscript(ExpressionPtr object);
    CallArguments parse_arguments();
    ExpressionPtr make(int line, Expression::Node node);

    TokenStream& tokens_;
    int depth_ = 0;
    int chain_ = 0;
    std::optional<TemplateError> unknown_;  // the first filter or test that is not known
};

}  // namespace troupe::jinja
