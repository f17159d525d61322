// Python's operators on values.
#pragma once
#include "model/jinja/runtime.hpp"
#include "model/jinja/value.hpp"

namespace troupe::jinja {

enum class BinaryOperator : unsigned char { add, subtract, multiply, divide, floor_divide, modulo, power };
enum class Comparison : unsigned char {
    equal,
    not_equal,
    less,
    less_equal,
    greater,
    greater_equal,
    in,
    not_in
};

// Integers are 64 bits wide; what does not fit fails.
Value binary(Runtime& runtime, BinaryOperator op, const Value& left, const Value& right);
Value negate(const Value& operand);
Value plus(const Value& operand);

bool compare(Runtime& runtime, Comparison op, const Value& left, const Value& right);
bool less(const Value& a, const Value& b);  // fails on types without an order
bool contains(Runtime& runtime, const Value& container, const Value& item);

// text % arguments
std::string format_percent(Runtime& runtime, const std::string& format, const Value& arguments);

}  // namespace troupe::jinja
