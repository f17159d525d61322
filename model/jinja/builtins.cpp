#include "model/jinja/builtins.hpp"

#include <algorithm>

#include "model/jinja/error.hpp"

namespace troupe::jinja {
namespace {

struct Parameter {
    std::string_view name;
    bool required;
};

// Calls fn(Parameter) for each of "a! b c".
template <class Function>
void for_each_parameter(std::string_view parameters, Function&& fn) {
    while (!parameters.empty()) {
        const size_t end = std::min(parameters.find(' '), parameters.size());
        std::string_view name = parameters.substr(0, end);
        parameters.remove_prefix(std::min(end + 1, parameters.size()));
        const bool required = name.ends_with('!');
        if (required) name.remove_suffix(1);
        fn(Parameter{name, required});
    }
}

class BoundMethod : public Object {
  public:
    BoundMethod(const Builtin& method, Value self) : method_(method), self_(std::move(self)) {
        extent_.enclose(self_.extent());
    }
    std::string_view type_name() const override { return "builtin_function_or_method"; }
    std::string repr() const override { return "<built-in method " + std::string(method_.name) + ">"; }
    bool callable() const override { return true; }
    Value call(Runtime& runtime, Arguments arguments) override {
        return invoke(runtime, method_, self_, arguments);
    }
    Extent extent() const override { return extent_; }

  private:
    const Builtin& method_;
    Value self_;
    Extent extent_;
};

}  // namespace

Bound::Bound(const Builtin& builtin, const Arguments& arguments) : builtin_(builtin), arguments_(arguments) {
    if (builtin.parameters == "*") return;
    std::vector<Parameter> parameters;
    for_each_parameter(builtin.parameters, [&](Parameter parameter) { parameters.push_back(parameter); });
    const std::string name(builtin.name);
    if (arguments.positional.size() > parameters.size())
        fail(name + "() takes at most " + std::to_string(parameters.size()) + " argument(s), " +
             std::to_string(arguments.positional.size()) + " given");
    values_.resize(parameters.size());
    std::copy(arguments.positional.begin(), arguments.positional.end(), values_.begin());
    for (const auto& [key, value] : arguments.named) {
        const auto found = std::find_if(parameters.begin(), parameters.end(),
                                        [&wanted = key](const Parameter& p) { return p.name == wanted; });
        if (found == parameters.end()) fail(name + "() got an unexpected keyword argument '" + key + "'");
        auto& slot = values_[static_cast<size_t>(found - parameters.begin())];
        if (slot) fail(name + "() got multiple values for argument '" + key + "'");
        slot = value;
    }
    for (size_t i = 0; i < parameters.size(); ++i)
        if (parameters[i].required && !values_[i])
            fail(name + "() missing required argument '" + std::string(parameters[i].name) + "'");
}

int64_t Bound::integer(size_t parameter, int64_t fallback) const {
    if (!has(parameter)) return fallback;
    const Value& value = at(parameter);
    if (value.is_bool()) return value.as_bool() ? 1 : 0;
    if (value.is_undefined()) fail(value.undefined_message());
    if (!value.is_integer())
        fail(std::string(builtin_.name) + "(): '" + std::string(value.type_name()) +
             "' object cannot be interpreted as an integer");
    return value.as_integer();
}

const std::string& Bound::text(size_t parameter) const {
    const Value& value = at(parameter);
    if (value.is_undefined()) fail(value.undefined_message());
    if (!value.is_string())
        fail(std::string(builtin_.name) + "() argument must be str, not " + std::string(value.type_name()));
    return value.text();
}

Value invoke(Runtime& runtime, const Builtin& builtin, const Value& self, const Arguments& arguments) {
    const DepthGuard guard(runtime);
    const Bound bound(builtin, arguments);
    Value result = builtin.function(runtime, self, bound);
    runtime.charge(result.is_string() ? result.text().size() : 1);
    return result;
}

Value bind_method(const Builtin& method, const Value& object) {
    return std::make_shared<BoundMethod>(method, object);
}

}  // namespace troupe::jinja
