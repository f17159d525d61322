// What a template is parsed into. Plain data, immutable once parsed.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "model/jinja/operators.hpp"
#include "model/jinja/value.hpp"

namespace troupe::jinja {

struct Builtin;
struct Expression;
struct Statement;
using ExpressionPtr = std::unique_ptr<const Expression>;
using Block = std::vector<Statement>;

// --- expressions ---

struct Literal {
    Value value;
};
struct Name {
    std::string name;
};
struct ListLiteral {
    std::vector<ExpressionPtr> items;
};
struct TupleLiteral {
    std::vector<ExpressionPtr> items;
};
struct DictLiteral {
    std::vector<std::pair<ExpressionPtr, ExpressionPtr>> items;
};
struct Attribute {
    ExpressionPtr object;
    std::string name;
};
struct Subscript {
    ExpressionPtr object, key;
};
struct Slice {
    ExpressionPtr object, start, stop, step;  // the last three may be null
};
struct CallArguments {
    std::vector<ExpressionPtr> positional;
    std::vector<std::pair<std::string, ExpressionPtr>> named;
    ExpressionPtr spread, named_spread;  // *args and **kwargs, or null
};
struct Call {
    ExpressionPtr callee;
    CallArguments arguments;
};
struct Filter {
    ExpressionPtr input;  // null in {% filter %} and {% set x | filter %}: the block's text
    std::string name;
    const Builtin* filter;  // null when there is none of that name, which is said when it is reached
    CallArguments arguments;
};
struct Test {
    ExpressionPtr input;
    std::string name;
    const Builtin* test;  // as above
    CallArguments arguments;
    bool negated;
};
struct Unary {
    enum class Operator : unsigned char { negate, plus, logical_not } op;
    ExpressionPtr operand;
};
struct Binary {
    BinaryOperator op;
    ExpressionPtr left, right;
};
struct Logical {
    bool is_and;
    ExpressionPtr left, right;
};
struct Concatenate {
    std::vector<ExpressionPtr> parts;
};
struct CompareChain {  // a < b < c
    ExpressionPtr first;
    std::vector<std::pair<Comparison, ExpressionPtr>> rest;
};
struct Conditional {
    ExpressionPtr condition, then, otherwise;  // otherwise may be null
};

struct Expression {
    using Node =
        std::variant<Literal, Name, ListLiteral, TupleLiteral, DictLiteral, Attribute, Subscript, Slice, Call,
                     Filter, Test, Unary, Binary, Logical, Concatenate, CompareChain, Conditional>;
    int line;
    Node node;
};

// --- statements ---

// What {% set %} and {% for %} assign to: a name, a namespace's field, or several of these.
struct Target {
    std::string name;
    std::string field;  // of the namespace `name`, or empty
    std::vector<Target> elements;
    bool is_tuple = false;  // then only the elements count
};

struct Data {
    std::string text;
};
struct Output {
    ExpressionPtr value;
};
struct If {
    std::vector<std::pair<ExpressionPtr, Block>> branches;
    Block otherwise;
};
struct For {
    Target target;
    ExpressionPtr iterable;
    ExpressionPtr condition;  // or null
    bool recursive;
    Block body, otherwise;
};
struct Set {
    Target target;
    ExpressionPtr value;
};
struct SetBlock {
    Target target;
    ExpressionPtr filter;  // a chain of Filter whose innermost input is the text, or null
    Block body;
};
struct MacroDefinition {
    std::string name;  // empty for a {% call %} block
    std::vector<std::string> parameters;
    std::vector<ExpressionPtr> defaults;  // of the last parameters
    Block body;
    bool uses_caller = false, uses_varargs = false, uses_kwargs = false;
};
struct CallBlock {
    MacroDefinition caller;
    ExpressionPtr call;  // a Call
};
struct FilterBlock {
    ExpressionPtr filter;
    Block body;
};
struct With {
    std::vector<std::pair<Target, ExpressionPtr>> assignments;
    Block body;
};
struct Scoped {  // {% generation %} and {% block %}
    Block body;
};
struct Break {};
struct Continue {};

struct Statement {
    using Node = std::variant<Data, Output, If, For, Set, SetBlock, MacroDefinition, CallBlock, FilterBlock,
                              With, Scoped, Break, Continue>;
    int line;
    Node node;
};

}  // namespace troupe::jinja
