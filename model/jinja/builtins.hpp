// Filters, tests, methods and global functions: one table of each, found by name.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "model/jinja/runtime.hpp"
#include "model/jinja/value.hpp"

namespace troupe::jinja {

class Bound;

// `self` is what a filter or test is applied to, or the object of a method; None for global functions.
struct Builtin {
    std::string_view name;
    std::string_view parameters;  // names separated by blanks, "!" after required ones; "*" takes anything
    Value (*function)(Runtime& runtime, const Value& self, const Bound& arguments);
};

// Arguments matched to a builtin's parameters. Fails when they do not fit.
class Bound {
  public:
    Bound(const Builtin& builtin, const Arguments& arguments);

    bool has(size_t parameter) const { return values_[parameter].has_value(); }
    // Given and not None, which most of Python's optional parameters treat alike.
    bool given(size_t parameter) const { return has(parameter) && !values_[parameter]->is_none(); }
    const Value& at(size_t parameter) const { return *values_[parameter]; }  // precondition: has
    Value value(size_t parameter, Value fallback) const { return has(parameter) ? at(parameter) : fallback; }
    bool flag(size_t parameter, bool fallback) const {
        return has(parameter) ? at(parameter).truthy() : fallback;
    }
    int64_t integer(size_t parameter, int64_t fallback) const;  // fails on other types
    const std::string& text(size_t parameter) const;            // fails on other types; precondition: has

    const Arguments& all() const { return arguments_; }

  private:
    const Builtin& builtin_;
    const Arguments& arguments_;
    std::vector<std::optional<Value>> values_;
};

// Null when there is none of that name.
const Builtin* find_filter(std::string_view name);
const Builtin* find_test(std::string_view name);
const Builtin* find_method(const Value& object, std::string_view name);
std::optional<Value> find_global(std::string_view name);

// Python's methods that change a list or dict, which the sandbox forbids.
bool mutates(const Value& object, std::string_view name);

Value invoke(Runtime& runtime, const Builtin& builtin, const Value& self, const Arguments& arguments);
Value bind_method(const Builtin& method, const Value& object);  // a callable

// str(value) as filters for text see their input: markup stays markup.
Value as_text(const Value& value);

}  // namespace troupe::jinja
