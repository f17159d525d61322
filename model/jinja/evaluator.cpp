#include "model/jinja/evaluator.hpp"

#include <algorithm>
#include <optional>

#include "model/jinja/builtins.hpp"
#include "model/jinja/error.hpp"
#include "model/jinja/loop.hpp"
#include "model/jinja/print.hpp"

namespace troupe::jinja {
namespace {

// Sets a variable for the duration of a C++ scope.
template <class T>
class Restore {
  public:
    Restore(T& variable, T value) : variable_(variable), old_(std::exchange(variable, std::move(value))) {}
    ~Restore() { variable_ = std::move(old_); }
    Restore(const Restore&) = delete;
    Restore& operator=(const Restore&) = delete;

  private:
    T& variable_;
    T old_;
};

class Macro : public Object {
  public:
    Macro(Evaluator& evaluator, const MacroDefinition& definition, std::shared_ptr<Scope> closure)
        : evaluator_(evaluator), definition_(definition), closure_(std::move(closure)) {}
    std::string_view type_name() const override { return "Macro"; }
    std::string repr() const override {
        return "<Macro " + (definition_.name.empty() ? "anonymous" : repr_of_string(definition_.name)) + ">";
    }
    bool callable() const override { return true; }
    Value call(Runtime&, Arguments arguments) override {
        return evaluator_.call_macro(definition_, closure_, std::move(arguments));
    }
    Value attribute(Runtime& runtime, std::string_view name) override {
        if (name == "name") return definition_.name.empty() ? Value() : Value(definition_.name);
        if (name == "arguments") {
            std::vector<Value> names;
            for (const std::string& parameter : definition_.parameters) names.emplace_back(parameter);
            return Value::tuple(std::move(names));
        }
        return Object::attribute(runtime, name);
    }

  private:
    Evaluator& evaluator_;
    const MacroDefinition& definition_;
    std::shared_ptr<Scope> closure_;
};

std::optional<size_t> known_length(const Value& items) {
    if (items.is_sequence()) return items.sequence().items.size();
    if (items.is_dict()) return items.dict().size();
    return std::nullopt;
}

}  // namespace

std::string Evaluator::render(const Block& block) {
    run(block);
    return std::move(output_);
}

Evaluator::Flow Evaluator::run(const Block& block) {
    const DepthGuard guard(runtime_);
    for (const Statement& statement : block) {
        const Flow flow = run(statement);
        if (flow != Flow::next) return flow;
    }
    return Flow::next;
}

Evaluator::Flow Evaluator::run(const Statement& statement) {
    runtime_.step();
    runtime_.line = statement.line;
    return std::visit([this](const auto& node) { return run(node); }, statement.node);
}

void Evaluator::emit(std::string_view text) {
    runtime_.charge(text.size());
    if (output_.size() + text.size() > runtime_.options().limits.max_output)
        fail("the template's output is too long");
    output_ += text;
}

void Evaluator::emit_text(const Value& value) {
    if (!value.is_string()) fail("expected str instance, " + std::string(value.type_name()) + " found");
    emit(value.text());
}

Evaluator::Flow Evaluator::run(const Data& data) {
    emit(data.text);
    return Flow::next;
}

Evaluator::Flow Evaluator::run(const Output& output) {
    const Value value = evaluate(*output.value);
    if (value.is_string()) {
        emit(value.text());
    } else {
        runtime_.charge(value.extent().weight);
        emit(text_of(value));
    }
    return Flow::next;
}

Evaluator::Flow Evaluator::run(const If& statement) {
    for (const auto& [condition, body] : statement.branches)
        if (evaluate(*condition).truthy()) return run(body);
    return run(statement.otherwise);
}

Evaluator::Flow Evaluator::run_in_new_scope(const Block& block) {
    const Restore<ScopePtr> scope(scope_, std::make_shared<Scope>(scope_));
    return run(block);
}

Evaluator::Flow Evaluator::run(const Scoped& statement) { return run_in_new_scope(statement.body); }

std::string Evaluator::capture(const Block& block, Flow& flow) {
    Restore<std::string> output(output_, {});
    flow = run_in_new_scope(block);
    return std::move(output_);
}

void Evaluator::assign(const Target& target, Value value) {
    if (target.is_tuple) {
        const std::vector<Value> items = to_items(runtime_, value);
        const size_t wanted = target.elements.size();
        if (items.size() != wanted)
            fail((items.size() < wanted ? "not enough values to unpack (expected "
                                        : "too many values to unpack (expected ") +
                 std::to_string(wanted) + ")");
        for (size_t i = 0; i < items.size(); ++i) assign(target.elements[i], items[i]);
    } else if (target.field.empty()) {
        scope_->set(target.name, std::move(value));
    } else {
        const Value* holder = scope_->find(target.name);
        if (!holder) holder = variables_.dict().field(target.name);
        auto* space = holder ? holder->object<Namespace>() : nullptr;
        if (!space) fail("cannot assign attribute on non-namespace object");
        space->fields.set(target.field, std::move(value));
    }
}

Evaluator::Flow Evaluator::run(const Set& statement) {
    assign(statement.target, evaluate(*statement.value));
    return Flow::next;
}

Evaluator::Flow Evaluator::run(const SetBlock& statement) {
    Flow flow{};
    Value text = capture(statement.body, flow);
    if (flow != Flow::next) return flow;
    if (statement.filter) text = apply_chain(*statement.filter, std::move(text));
    assign(statement.target, std::move(text));
    return flow;
}

Evaluator::Flow Evaluator::run(const FilterBlock& statement) {
    Flow flow{};
    Value text = capture(statement.body, flow);
    if (flow != Flow::next) return flow;
    emit_text(apply_chain(*statement.filter, std::move(text)));
    return flow;
}

Evaluator::Flow Evaluator::run(const With& statement) {
    std::vector<Value> values;
    for (const auto& [target, expression] : statement.assignments) values.push_back(evaluate(*expression));
    const Restore<ScopePtr> scope(scope_, std::make_shared<Scope>(scope_));
    for (size_t i = 0; i < values.size(); ++i) assign(statement.assignments[i].first, std::move(values[i]));
    return run(statement.body);
}

// --- loops ---

Evaluator::Flow Evaluator::run(const For& statement) {
    const Value items = evaluate(*statement.iterable);
    if (!statement.recursive) return run_loop(statement, items, 0);
    run_loop(statement, items,
             0);  // break and continue stay inside, as in the function that Jinja makes of it
    return Flow::next;
}

Cursor Evaluator::filtered(const For& statement, Cursor items) {
    return [this, &statement, items = std::move(items), outer = scope_](Value& item) {
        while (items(item)) {
            const Restore<ScopePtr> scope(scope_, std::make_shared<Scope>(outer));
            assign(statement.target, item);
            if (statement.target.is_tuple) item = Value::tuple(to_items(runtime_, item));
            if (evaluate(*statement.condition).truthy()) return true;
        }
        return false;
    };
}

Evaluator::Flow Evaluator::run_loop(const For& statement, const Value& items, int depth) {
    Loop::Recurse recurse;
    if (statement.recursive)
        recurse = [this, &statement, outer = scope_](const Value& children, int level) -> Value {
            const DepthGuard guard(runtime_);
            const Restore<ScopePtr> scope(scope_, outer);
            Restore<std::string> output(output_, {});
            run_loop(statement, children, level);
            return std::move(output_);
        };
    Cursor cursor = iterate(runtime_, items);
    if (statement.condition) cursor = filtered(statement, std::move(cursor));
    const auto length = statement.condition ? std::nullopt : known_length(items);
    const auto loop = std::make_shared<Loop>(std::move(cursor), length, depth, std::move(recurse));

    bool finished_one = false;  // Jinja runs the else block also when every iteration was cut short
    Flow flow = Flow::next;
    for (Value item; flow != Flow::break_loop && loop->next(item);) {
        const Restore<ScopePtr> scope(scope_, std::make_shared<Scope>(scope_));
        scope_->set("loop", loop);
        assign(statement.target, std::move(item));
        flow = run(statement.body);
        finished_one = finished_one || flow == Flow::next;
    }
    return finished_one || statement.otherwise.empty() ? Flow::next : run_in_new_scope(statement.otherwise);
}

// --- macros ---

Value Evaluator::make_macro(const MacroDefinition& macro) {
    return std::make_shared<Macro>(*this, macro, runtime_.keep(scope_));
}

Evaluator::Flow Evaluator::run(const MacroDefinition& macro) {
    scope_->set(macro.name, make_macro(macro));
    return Flow::next;
}

Evaluator::Flow Evaluator::run(const CallBlock& statement) {
    const Value caller = make_macro(statement.caller);
    emit_text(evaluate_call(std::get<Call>(statement.call->node), &caller));
    return Flow::next;
}

Value Evaluator::call_macro(const MacroDefinition& macro, const ScopePtr& closure, Arguments arguments) {
    const DepthGuard guard(runtime_);
    const Restore<ScopePtr> scope(scope_, std::make_shared<Scope>(closure));
    const int line = runtime_.line;
    bind_parameters(macro, std::move(arguments));
    Restore<std::string> output(output_, {});
    run(macro.body);
    runtime_.line = line;
    return std::move(output_);
}

void Evaluator::bind_parameters(const MacroDefinition& macro, Arguments arguments) {
    auto& positional = arguments.positional;
    auto& named = arguments.named;
    const auto take_named = [&](std::string_view name) -> std::optional<Value> {
        const auto found =
            std::find_if(named.begin(), named.end(), [&](const auto& n) { return n.first == name; });
        if (found == named.end()) return std::nullopt;
        std::optional<Value> value = std::move(found->second);
        named.erase(found);
        return value;
    };
    const size_t count = macro.parameters.size();
    const size_t first_default = count - macro.defaults.size();
    for (size_t i = 0; i < count; ++i) {
        const std::string& name = macro.parameters[i];
        std::optional<Value> value;
        if (i < positional.size())
            value = positional[i];
        else
            value = take_named(name);
        if (!value && i >= first_default) value = evaluate(*macro.defaults[i - first_default]);
        scope_->set(name, value ? *value : Value::undefined("parameter '" + name + "' was not provided"));
    }
    if (macro.uses_caller) {
        const std::optional<Value> caller = take_named("caller");
        scope_->set("caller", caller ? *caller : Value::undefined("No caller defined"));
    }
    if (macro.uses_kwargs) {
        Dict rest;
        for (auto& [name, value] : named) rest.set(Value(name), value);
        scope_->set("kwargs", rest);
    } else if (!named.empty()) {
        fail("macro '" + macro.name + "' takes no keyword argument '" + named[0].first + "'");
    }
    if (macro.uses_varargs) {
        const auto rest = positional.begin() + static_cast<ptrdiff_t>(std::min(count, positional.size()));
        scope_->set("varargs", Value::tuple({rest, positional.end()}));
    } else if (positional.size() > count) {
        fail("macro '" + macro.name + "' takes not more than " + std::to_string(count) + " argument(s)");
    }
}

}  // namespace troupe::jinja
