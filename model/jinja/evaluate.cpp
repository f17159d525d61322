// The expressions' half of Evaluator.
#include <algorithm>

#include "model/jinja/builtins.hpp"
#include "model/jinja/error.hpp"
#include "model/jinja/evaluator.hpp"
#include "model/jinja/print.hpp"

namespace troupe::jinja {

Value Evaluator::evaluate(const Expression& expression) {
    const DepthGuard guard(runtime_);
    runtime_.step();
    runtime_.line = expression.line;
    return std::visit([this](const auto& node) { return evaluate(node); }, expression.node);
}

std::vector<Value> Evaluator::evaluate_all(const std::vector<ExpressionPtr>& expressions) {
    std::vector<Value> values;
    values.reserve(expressions.size());
    for (const ExpressionPtr& expression : expressions) values.push_back(evaluate(*expression));
    return values;
}

Value Evaluator::evaluate(const Name& name) {
    if (const Value* variable = scope_->find(name.name)) return *variable;
    if (const Value* variable = variables_.dict().field(name.name)) return *variable;
    if (auto global = find_global(name.name)) return *global;
    return Value::undefined("'" + name.name + "' is undefined");
}

Value Evaluator::evaluate(const ListLiteral& list) { return Value::list(evaluate_all(list.items)); }
Value Evaluator::evaluate(const TupleLiteral& tuple) { return Value::tuple(evaluate_all(tuple.items)); }

Value Evaluator::evaluate(const DictLiteral& dict) {
    Dict result;
    for (const auto& [key, value] : dict.items) {
        Value name = evaluate(*key);
        result.set(std::move(name), evaluate(*value));
    }
    return result;
}

Value Evaluator::evaluate(const Attribute& attribute) {
    return get_attribute(runtime_, evaluate(*attribute.object), attribute.name);
}

Value Evaluator::evaluate(const Subscript& subscript) {
    const Value object = evaluate(*subscript.object);
    return get_item(runtime_, object, evaluate(*subscript.key));
}

Value Evaluator::evaluate(const Slice& slice) {
    const Value object = evaluate(*slice.object);
    const Value start = evaluate_or_none(slice.start);
    const Value stop = evaluate_or_none(slice.stop);
    return get_slice(runtime_, object, start, stop, evaluate_or_none(slice.step));
}

Arguments Evaluator::evaluate_arguments(const CallArguments& arguments) {
    Arguments values;
    values.positional = evaluate_all(arguments.positional);
    for (const auto& [name, expression] : arguments.named)
        values.named.emplace_back(name, evaluate(*expression));
    if (arguments.spread)
        for (Value& item : to_items(runtime_, evaluate(*arguments.spread)))
            values.positional.push_back(std::move(item));
    if (arguments.named_spread) {
        const Value extra = evaluate(*arguments.named_spread);
        if (!extra.is_dict())
            fail("argument after ** must be a mapping, not " + std::string(extra.type_name()));
        for (const auto& [name, value] : extra.dict().entries()) {
            if (!name.is_string()) fail("keywords must be strings");
            values.named.emplace_back(name.text(), value);
        }
    }
    for (size_t i = 0; i < values.named.size(); ++i)
        for (size_t j = 0; j < i; ++j)
            if (values.named[i].first == values.named[j].first)
                fail("got multiple values for keyword argument '" + values.named[i].first + "'");
    return values;
}

Value Evaluator::evaluate_call(const Call& node, const Value* caller) {
    const int line = runtime_.line;
    const Value callee = evaluate(*node.callee);
    Arguments arguments = evaluate_arguments(node.arguments);
    if (caller) arguments.named.emplace_back("caller", *caller);
    runtime_.line = line;
    return call(runtime_, callee, std::move(arguments));
}

Value Evaluator::apply_filter(const Filter& filter, const Value& input) {
    const int line = runtime_.line;
    if (!filter.filter) fail("No filter named '" + filter.name + "'.");
    const Arguments arguments = evaluate_arguments(filter.arguments);
    runtime_.line = line;
    return invoke(runtime_, *filter.filter, input, arguments);
}

Value Evaluator::apply_chain(const Expression& filters, Value text) {
    const DepthGuard guard(runtime_);
    const auto& filter = std::get<Filter>(filters.node);
    if (filter.input) text = apply_chain(*filter.input, std::move(text));
    runtime_.line = filters.line;
    return apply_filter(filter, text);
}

Value Evaluator::evaluate(const Test& test) {
    const int line = runtime_.line;
    if (!test.test) fail("No test named '" + test.name + "'.");
    const Value input = evaluate(*test.input);
    const Arguments arguments = evaluate_arguments(test.arguments);
    runtime_.line = line;
    return invoke(runtime_, *test.test, input, arguments).truthy() != test.negated;
}

Value Evaluator::evaluate(const Unary& unary) {
    const Value operand = evaluate(*unary.operand);
    switch (unary.op) {
        case Unary::Operator::negate:
            return negate(operand);
        case Unary::Operator::plus:
            return plus(operand);
        case Unary::Operator::logical_not:
            return !operand.truthy();
    }
    return {};
}

Value Evaluator::evaluate(const Binary& node) {
    const int line = runtime_.line;
    const Value left = evaluate(*node.left);
    const Value right = evaluate(*node.right);
    runtime_.line = line;
    return binary(runtime_, node.op, left, right);
}

Value Evaluator::evaluate(const Logical& logical) {
    Value left = evaluate(*logical.left);
    return left.truthy() == logical.is_and ? evaluate(*logical.right) : left;
}

Value Evaluator::evaluate(const Concatenate& concatenate) {
    std::string text;
    for (const ExpressionPtr& part : concatenate.parts) {
        const Value value = evaluate(*part);
        runtime_.charge(value.extent().weight);
        text += text_of(value);
    }
    return text;
}

Value Evaluator::evaluate(const CompareChain& chain) {
    const int line = runtime_.line;
    Value left = evaluate(*chain.first);
    for (const auto& [op, operand] : chain.rest) {
        Value right = evaluate(*operand);
        runtime_.line = line;
        if (!compare(runtime_, op, left, right)) return false;
        left = std::move(right);
    }
    return true;
}

Value Evaluator::evaluate(const Conditional& conditional) {
    const int line = runtime_.line;
    if (evaluate(*conditional.condition).truthy()) return evaluate(*conditional.then);
    if (conditional.otherwise) return evaluate(*conditional.otherwise);
    return Value::undefined("the inline if-expression on line " + std::to_string(line) +
                            " evaluated to false and no else section was defined.");
}

}  // namespace troupe::jinja
