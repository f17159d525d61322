#include "model/jinja/operators.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

#include "model/jinja/error.hpp"
#include "model/jinja/print.hpp"
#include "model/jinja/unicode.hpp"

namespace troupe::jinja {
namespace {

std::string_view symbol(BinaryOperator op) {
    switch (op) {
        case BinaryOperator::add:
            return "+";
        case BinaryOperator::subtract:
            return "-";
        case BinaryOperator::multiply:
            return "*";
        case BinaryOperator::divide:
            return "/";
        case BinaryOperator::floor_divide:
            return "//";
        case BinaryOperator::modulo:
            return "%";
        case BinaryOperator::power:
            return "**";
    }
    return "";
}

std::optional<int64_t> as_integer(const Value& value) {
    if (value.is_bool()) return value.as_bool() ? 1 : 0;
    if (value.is_integer()) return value.as_integer();
    return std::nullopt;
}

std::optional<double> as_number(const Value& value) {
    if (value.is_float()) return value.as_float();
    if (const auto i = as_integer(value)) return static_cast<double>(*i);
    return std::nullopt;
}

[[noreturn]] void too_large() { fail("an integer does not fit into 64 bits"); }

int64_t floor_divide(int64_t a, int64_t b) {
    if (a == INT64_MIN && b == -1) too_large();
    const int64_t quotient = a / b;
    return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

Value integer_power(int64_t base, int64_t exponent) {
    if (exponent < 0) {
        if (base == 0) fail("0.0 cannot be raised to a negative power");
        return std::pow(static_cast<double>(base), static_cast<double>(exponent));
    }
    int64_t result = 1;
    while (exponent > 0) {
        if ((exponent & 1) && __builtin_mul_overflow(result, base, &result)) too_large();
        exponent >>= 1;
        if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) too_large();
    }
    return result;
}

Value integer_arithmetic(BinaryOperator op, int64_t a, int64_t b) {
    int64_t result = 0;
    bool overflow = false;
    switch (op) {
        case BinaryOperator::add:
            overflow = __builtin_add_overflow(a, b, &result);
            break;
        case BinaryOperator::subtract:
            overflow = __builtin_sub_overflow(a, b, &result);
            break;
        case BinaryOperator::multiply:
            overflow = __builtin_mul_overflow(a, b, &result);
            break;
        case BinaryOperator::power:
            return integer_power(a, b);
        case BinaryOperator::divide:
            if (b == 0) fail("division by zero");
            // Python rounds the quotient once, not the operands before it.
            return static_cast<double>(static_cast<long double>(a) / static_cast<long double>(b));
        case BinaryOperator::floor_divide:
        case BinaryOperator::modulo:
            if (b == 0) fail("integer division or modulo by zero");
            if (op == BinaryOperator::floor_divide) return floor_divide(a, b);
            return b == -1 ? 0 : a - floor_divide(a, b) * b;
    }
    if (overflow) too_large();
    return result;
}

double float_modulo(double a, double b) {
    const double remainder = std::fmod(a, b);
    if (remainder == 0) return std::copysign(0.0, b);
    return (remainder < 0) != (b < 0) ? remainder + b : remainder;
}

double float_floor_divide(double a, double b) {
    const double quotient = (a - float_modulo(a, b)) / b;
    if (quotient == 0) return std::copysign(0.0, a / b);
    const double floored = std::floor(quotient);
    return quotient - floored > 0.5 ? floored + 1 : floored;
}

double float_power(double a, double b) {
    if (a == 0 && b < 0) fail("0.0 cannot be raised to a negative power");
    if (a < 0 && b != std::floor(b)) fail("a negative number to a fractional power is not real");
    const double result = std::pow(a, b);
    if (std::isinf(result) && !std::isinf(a) && !std::isinf(b)) fail("float result too large");
    return result;
}

Value float_arithmetic(BinaryOperator op, double a, double b) {
    switch (op) {
        case BinaryOperator::add:
            return a + b;
        case BinaryOperator::subtract:
            return a - b;
        case BinaryOperator::multiply:
            return a * b;
        case BinaryOperator::power:
            return float_power(a, b);
        case BinaryOperator::divide:
            if (b == 0) fail("float division by zero");
            return a / b;
        case BinaryOperator::floor_divide:
            if (b == 0) fail("float floor division by zero");
            return float_floor_divide(a, b);
        case BinaryOperator::modulo:
            if (b == 0) fail("float modulo");
            return float_modulo(a, b);
    }
    return {};
}

Value concatenate(Runtime& runtime, const Value& left, const Value& right) {
    if (left.is_string() && right.is_string()) {
        runtime.charge(left.text().size() + right.text().size());
        if (left.is_markup() == right.is_markup()) return Value(left.text() + right.text(), left.is_markup());
        const auto safe = [](const Value& v) { return v.is_markup() ? v.text() : escape_html(v.text()); };
        return Value(safe(left) + safe(right), true);
    }
    if (left.is_sequence() && right.is_sequence()) {
        const Sequence &a = left.sequence(), &b = right.sequence();
        const bool lists = a.flavor == Sequence::Flavor::list && b.flavor == Sequence::Flavor::list;
        if (lists || (a.is_tuple() && b.is_tuple())) {
            runtime.charge_product(a.items.size() + b.items.size(), sizeof(Value));
            std::vector<Value> items = a.items;
            items.insert(items.end(), b.items.begin(), b.items.end());
            return lists ? Value::list(std::move(items)) : Value::tuple(std::move(items));
        }
    }
    if (left.is_string() || left.is_sequence()) {
        const std::string type(left.type_name());
        fail("can only concatenate " + type + " (not \"" + std::string(right.type_name()) + "\") to " + type);
    }
    return Value::undefined({});  // not a concatenation
}

Value repeat(Runtime& runtime, const Value& value, int64_t times) {
    const auto count = static_cast<size_t>(std::max<int64_t>(times, 0));
    if (value.is_string()) {
        runtime.charge_product(count, value.text().size());
        std::string text;
        if (!value.text().empty())
            for (size_t i = 0; i < count; ++i) text += value.text();
        return Value(std::move(text), value.is_markup());
    }
    const Sequence& sequence = value.sequence();
    runtime.charge_product(count, sequence.items.size() * sizeof(Value));
    std::vector<Value> items;
    if (!sequence.items.empty())
        for (size_t i = 0; i < count; ++i)
            items.insert(items.end(), sequence.items.begin(), sequence.items.end());
    return sequence.is_tuple() ? Value::tuple(std::move(items)) : Value::list(std::move(items));
}

bool repeatable(const Value& value) {
    return value.is_string() || (value.is_sequence() && (value.sequence().flavor == Sequence::Flavor::list ||
                                                         value.sequence().is_tuple()));
}

// -1, 0 or 1; nothing when one is not a number.
std::optional<std::partial_ordering> compare_numbers(const Value& a, const Value& b) {
    const auto i = as_integer(a), j = as_integer(b);
    if (i && j) return *i <=> *j;
    const auto x = as_number(a), y = as_number(b);
    if (!x || !y) return std::nullopt;
    return static_cast<long double>(i ? static_cast<long double>(*i) : *x) <=>
           static_cast<long double>(j ? static_cast<long double>(*j) : *y);
}

std::partial_ordering order(const Value& a, const Value& b, std::string_view op) {
    if (const auto numbers = compare_numbers(a, b)) return *numbers;
    if (a.is_string() && b.is_string())
        return a.text().compare(b.text()) <=> 0;  // UTF-8 keeps code point order
    if (a.is_sequence() && b.is_sequence()) {
        const Sequence &s = a.sequence(), &t = b.sequence();
        if ((s.is_tuple() && t.is_tuple()) || (s.flavor == Sequence::Flavor::list && t.flavor == s.flavor)) {
            for (size_t i = 0; i < std::min(s.items.size(), t.items.size()); ++i)
                if (!equals(s.items[i], t.items[i])) return order(s.items[i], t.items[i], op);
            return s.items.size() <=> t.items.size();
        }
    }
    if (a.is_undefined()) fail(a.undefined_message());
    if (b.is_undefined()) fail(b.undefined_message());
    fail("'" + std::string(op) + "' not supported between instances of '" + std::string(a.type_name()) +
         "' and '" + std::string(b.type_name()) + "'");
}

}  // namespace

Value binary(Runtime& runtime, BinaryOperator op, const Value& left, const Value& right) {
    if (op == BinaryOperator::modulo && left.is_string())
        return Value(format_percent(runtime, left.text(), right), left.is_markup());
    if (left.is_undefined()) fail(left.undefined_message());
    if (right.is_undefined()) fail(right.undefined_message());
    const auto i = as_integer(left), j = as_integer(right);
    if (i && j) return integer_arithmetic(op, *i, *j);
    const auto x = as_number(left), y = as_number(right);
    if (x && y) return float_arithmetic(op, *x, *y);
    if (op == BinaryOperator::add) {
        Value joined = concatenate(runtime, left, right);
        if (!joined.is_undefined()) return joined;
    }
    if (op == BinaryOperator::multiply) {
        if (j && repeatable(left)) return repeat(runtime, left, *j);
        if (i && repeatable(right)) return repeat(runtime, right, *i);
    }
    fail("unsupported operand type(s) for " + std::string(symbol(op)) + ": '" +
         std::string(left.type_name()) + "' and '" + std::string(right.type_name()) + "'");
}

Value negate(const Value& operand) {
    if (operand.is_undefined()) fail(operand.undefined_message());
    if (operand.is_float()) return -operand.as_float();
    if (const auto i = as_integer(operand)) return integer_arithmetic(BinaryOperator::subtract, 0, *i);
    fail("bad operand type for unary -: '" + std::string(operand.type_name()) + "'");
}

Value plus(const Value& operand) {
    if (operand.is_undefined()) fail(operand.undefined_message());
    if (operand.is_float()) return operand;
    if (const auto i = as_integer(operand)) return *i;
    fail("bad operand type for unary +: '" + std::string(operand.type_name()) + "'");
}

bool less(const Value& a, const Value& b) { return order(a, b, "<") < 0; }

bool contains(Runtime& runtime, const Value& container, const Value& item) {
    if (container.is_string()) {
        if (!item.is_string())
            fail("'in <string>' requires string as left operand, not " + std::string(item.type_name()));
        runtime.charge(container.text().size());
        return unicode::find(container.text(), item.text()) != std::string_view::npos;
    }
    if (container.is_dict()) {
        if (!hashable(item)) fail("unhashable type: '" + std::string(item.type_name()) + "'");
        return container.dict().find(item) != nullptr;
    }
    if (!is_iterable(container))
        fail("argument of type '" + std::string(container.type_name()) + "' is not iterable");
    const Cursor next = iterate(runtime, container);
    const size_t weight = item.extent().weight;
    for (Value other; next(other);) {
        runtime.charge(std::min(weight, other.extent().weight));
        if (equals(item, other)) return true;
    }
    return false;
}

bool compare(Runtime& runtime, Comparison op, const Value& left, const Value& right) {
    runtime.charge(std::min(left.extent().weight, right.extent().weight));
    switch (op) {
        case Comparison::equal:
            return equals(left, right);
        case Comparison::not_equal:
            return !equals(left, right);
        case Comparison::less:
            return order(left, right, "<") < 0;
        case Comparison::less_equal:
            return order(left, right, "<=") <= 0;
        case Comparison::greater:
            return order(left, right, ">") > 0;
        case Comparison::greater_equal:
            return order(left, right, ">=") >= 0;
        case Comparison::in:
            return contains(runtime, right, left);
        case Comparison::not_in:
            return !contains(runtime, right, left);
    }
    return false;
}

}  // namespace troupe::jinja
