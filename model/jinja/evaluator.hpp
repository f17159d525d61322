// Runs a parsed template. One evaluator renders once.
#pragma once
#include <memory>
#include <string>

#include "model/jinja/ast.hpp"
#include "model/jinja/runtime.hpp"
#include "model/jinja/scope.hpp"

namespace troupe::jinja {

class Evaluator {
  public:
    // All must outlive the evaluator. `variables` is a dict.
    Evaluator(Runtime& runtime, const Value& variables) : runtime_(runtime), variables_(variables) {}

    std::string render(const Block& block);

    // The text of a macro called with these arguments, in a scope on top of the one where it was defined.
    Value call_macro(const MacroDefinition& macro, const std::shared_ptr<Scope>& closure,
                     Arguments arguments);

  private:
    enum class Flow : unsigned char { next, break_loop, continue_loop };
    using ScopePtr = std::shared_ptr<Scope>;

    // Statements.
    Flow run(const Block& block);
    Flow run(const Statement& statement);
    Flow run(const Data& data);
    Flow run(const Output& output);
    Flow run(const If& statement);
    Flow run(const For& statement);
    Flow run(const Set& statement);
    Flow run(const SetBlock& statement);
    Flow run(const MacroDefinition& macro);
    Flow run(const CallBlock& statement);
    Flow run(const FilterBlock& statement);
    Flow run(const With& statement);
    Flow run(const Scoped& statement);
    Flow run(const Break&) { return Flow::break_loop; }
    Flow run(const Continue&) { return Flow::continue_loop; }

    Flow run_in_new_scope(const Block& block);
    Flow run_loop(const For& statement, const Value& items, int depth);
    Cursor filtered(const For& statement, Cursor items);
    void assign(const Target& target, Value value);
    void emit(std::string_view text);
    void emit_text(const Value& value);  // of {% call %} and {% filter %}, which must make strings
    std::string capture(const Block& block, Flow& flow);  // what the block writes, in a new scope
    Value make_macro(const MacroDefinition& macro);
    void bind_parameters(const MacroDefinition& macro, Arguments arguments);

    // Expressions.
    Value evaluate(const Expression& expression);
    Value evaluate_or_none(const ExpressionPtr& expression) {
        return expression ? evaluate(*expression) : Value();
    }
    Value evaluate(const Literal& literal) { return literal.value; }
    Value evaluate(const Name& name);
    Value evaluate(const ListLiteral& list);
    Value evaluate(const TupleLiteral& tuple);
    Value evaluate(const DictLiteral& dict);
    Value evaluate(const Attribute& attribute);
    Value evaluate(const Subscript& subscript);
    Value evaluate(const Slice& slice);
    Value evaluate(const Call& call) { return evaluate_call(call, nullptr); }
    Value evaluate(const Filter& filter) { return apply_filter(filter, evaluate(*filter.input)); }
    Value evaluate(const Test& test);
    Value evaluate(const Unary& unary);
    Value evaluate(const Binary& binary);
    Value evaluate(const Logical& logical);
    Value evaluate(const Concatenate& concatenate);
    Value evaluate(const CompareChain& chain);
    Value evaluate(const Conditional& conditional);

    std::vector<Value> evaluate_all(const std::vector<ExpressionPtr>& expressions);
    Arguments evaluate_arguments(const CallArguments& arguments);
    Value evaluate_call(const Call& call, const Value* caller);
    Value apply_filter(const Filter& filter, const Value& input);
    Value apply_chain(const Expression& filters, Value text);  // of filters without input of their own

    Runtime& runtime_;
    const Value& variables_;
    ScopePtr scope_ = std::make_shared<Scope>();
    std::string output_;
};

}  // namespace troupe::jinja
