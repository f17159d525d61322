// The tests of `x is ...`.
#include "model/jinja/builtins.hpp"
#include "model/jinja/error.hpp"
#include "model/jinja/operators.hpp"
#include "model/jinja/print.hpp"
#include "model/jinja/unicode.hpp"

namespace troupe::jinja {
namespace {

using Kind = Value::Kind;

template <Kind kind>
Value is_kind(Runtime&, const Value& self, const Bound&) {
    return self.kind() == kind;
}

template <Comparison comparison>
Value compares(Runtime& runtime, const Value& self, const Bound& arguments) {
    return compare(runtime, comparison, self, arguments.at(0));
}

Value remainder(Runtime& runtime, const Value& self, Value divisor) {
    return binary(runtime, BinaryOperator::modulo, self, divisor);
}
Value is_odd(Runtime& runtime, const Value& self, const Bound&) {
    return equals(remainder(runtime, self, 2), 1);
}
Value is_even(Runtime& runtime, const Value& self, const Bound&) {
    return equals(remainder(runtime, self, 2), 0);
}
Value is_divisible(Runtime& runtime, const Value& self, const Bound& arguments) {
    return equals(remainder(runtime, self, arguments.at(0)), 0);
}

Value is_defined(Runtime&, const Value& self, const Bound&) { return !self.is_undefined(); }
Value is_true(Runtime&, const Value& self, const Bound&) { return self.is_bool() && self.as_bool(); }
Value is_false(Runtime&, const Value& self, const Bound&) { return self.is_bool() && !self.as_bool(); }
Value is_number(Runtime&, const Value& self, const Bound&) {
    return self.is_bool() || self.is_integer() || self.is_float();
}
Value is_sequence(Runtime&, const Value& self, const Bound&) {
    if (self.is_sequence()) return self.sequence().subscriptable();
    return self.is_string() || self.is_dict() ||
           self.is_undefined();  // Python's Undefined has both parts of one
}
Value test_iterable(Runtime&, const Value& self, const Bound&) { return is_iterable(self); }
Value is_callable(Runtime&, const Value& self, const Bound&) {
    return self.is_undefined() || (self.object() && self.object()->callable());
}
Value is_escaped(Runtime&, const Value& self, const Bound&) { return self.is_markup(); }
Value is_same(Runtime&, const Value& self, const Bound& arguments) { return self.same_as(arguments.at(0)); }

template <bool (*wanted)(char32_t), bool (*other)(char32_t)>
Value has_case(Runtime&, const Value& self, const Bound&) {
    return unicode::has_case(text_of(self), wanted, other);
}

Value is_filter(Runtime&, const Value& self, const Bound&) {
    if (!hashable(self)) fail("unhashable type: '" + std::string(self.type_name()) + "'");
    return self.is_string() && find_filter(self.text());
}
Value is_test(Runtime&, const Value& self, const Bound&) {
    if (!hashable(self)) fail("unhashable type: '" + std::string(self.type_name()) + "'");
    return self.is_string() && find_test(self.text());
}

constexpr Builtin table[] = {
    {"odd", "", is_odd},
    {"even", "", is_even},
    {"divisibleby", "num!", is_divisible},
    {"defined", "", is_defined},
    {"undefined", "", is_kind<Kind::undefined>},
    {"filter", "", is_filter},
    {"test", "", is_test},
    {"none", "", is_kind<Kind::none>},
    {"boolean", "", is_kind<Kind::boolean>},
    {"false", "", is_false},
    {"true", "", is_true},
    {"integer", "", is_kind<Kind::integer>},
    {"float", "", is_kind<Kind::floating>},
    {"lower", "", has_case<unicode::is_lower, unicode::is_upper>},
    {"upper", "", has_case<unicode::is_upper, unicode::is_lower>},
    {"string", "", is_kind<Kind::string>},
    {"mapping", "", is_kind<Kind::dict>},
    {"number", "", is_number},
    {"sequence", "", is_sequence},
    {"iterable", "", test_iterable},
    {"callable", "", is_callable},
    {"sameas", "other!", is_same},
    {"escaped", "", is_escaped},
    {"in", "seq!", compares<Comparison::in>},
    {"==", "other!", compares<Comparison::equal>},
    {"eq", "other!", compares<Comparison::equal>},
    {"equalto", "other!", compares<Comparison::equal>},
    {"!=", "other!", compares<Comparison::not_equal>},
    {"ne", "other!", compares<Comparison::not_equal>},
    {">", "other!", compares<Comparison::greater>},
    {"gt", "other!", compares<Comparison::greater>},
    {"greaterthan", "other!", compares<Comparison::greater>},
    {">=", "other!", compares<Comparison::greater_equal>},
    {"ge", "other!", compares<Comparison::greater_equal>},
    {"<", "other!", compares<Comparison::less>},
    {"lt", "other!", compares<Comparison::less>},
    {"lessthan", "other!", compares<Comparison::less>},
    {"<=", "other!", compares<Comparison::less_equal>},
    {"le", "other!", compares<Comparison::less_equal>},
};

}  // namespace

const Builtin* find_test(std::string_view name) {
    for (const Builtin& test : table)
        if (test.name == name) return &test;
    return nullptr;
}

}  // namespace troupe::jinja
