#include "model/jinja/expression_parser.hpp"

#include "model/jinja/builtins.hpp"

namespace troupe::jinja {

// Brackets and prefixes nest by recursion here; operators, calls and filters in a row make the tree deep
// without it. Both are bounded, because evaluating and destroying the tree recurse.
static constexpr int max_nesting = 150;
static constexpr int max_chain = 3000;  // in one expression

struct ExpressionParser::Nesting {
    explicit Nesting(ExpressionParser& owner) : parser(owner) {
        if (parser.depth_ == 0) parser.chain_ = 0;
        if (++parser.depth_ > max_nesting) fail("the expression is nested too deeply", parser.tokens_.line());
    }
    ~Nesting() { --parser.depth_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;
    ExpressionParser& parser;
};

ExpressionPtr ExpressionParser::make(int line, Expression::Node node) {
    if (++chain_ > max_chain) fail("the expression is too long", line);
    return std::make_unique<const Expression>(Expression{line, std::move(node)});
}

ExpressionPtr ExpressionParser::parse(bool with_conditional) {
    const Nesting nesting(*this);
    ExpressionPtr expression = with_conditional ? parse_conditional() : parse_or();
    if (depth_ == 1) check_names();
    return expression;
}

void ExpressionParser::check_names() {
    const auto unknown = std::exchange(unknown_, std::nullopt);
    if (unknown && !inside_if) throw TemplateError(*unknown);
}

ExpressionPtr ExpressionParser::parse_tuple(bool with_conditional, std::string_view stop_name,
                                            bool in_parentheses) {
    const int line = tokens_.line();
    const auto at_end = [&] {
        const Token& token = tokens_.current();
        return token.type == Token::Type::variable_end || token.type == Token::Type::block_end ||
               token.is_op(")") || (!stop_name.empty() && token.is_name(stop_name));
    };
    TupleLiteral tuple;
    bool has_comma = false;
    while (!at_end()) {
        tuple.items.push_back(parse(with_conditional));
        if (!tokens_.skip_op(",")) break;
        has_comma = true;
    }
    if (!has_comma && tuple.items.size() == 1) return std::move(tuple.items[0]);
    if (!has_comma && !in_parentheses) tokens_.unexpected("an expression");
    return make(line, std::move(tuple));
}

ExpressionPtr ExpressionParser::parse_conditional() {
    const auto unknown = unknown_;
    ExpressionPtr then = parse_or();
    while (tokens_.current().is_name("if")) {
        const int line = tokens_.next().line;
        ExpressionPtr condition = parse_or();
        ExpressionPtr otherwise = tokens_.skip_name("else") ? parse() : nullptr;
        then = make(line, Conditional{std::move(condition), std::move(then), std::move(otherwise)});
        unknown_ = unknown;
    }
    return then;
}

ExpressionPtr ExpressionParser::parse_or() {
    ExpressionPtr left = parse_and();
    while (tokens_.current().is_name("or")) {
        const int line = tokens_.next().line;
        left = make(line, Logical{false, std::move(left), parse_and()});
    }
    return left;
}

ExpressionPtr ExpressionParser::parse_and() {
    ExpressionPtr left = parse_not();
    while (tokens_.current().is_name("and")) {
        const int line = tokens_.next().line;
        left = make(line, Logical{true, std::move(left), parse_not()});
    }
    return left;
}

ExpressionPtr ExpressionParser::parse_not() {
    if (!tokens_.current().is_name("not")) return parse_comparison();
    const Nesting nesting(*this);
    const int line = tokens_.next().line;
    return make(line, Unary{Unary::Operator::logical_not, parse_not()});
}

static bool read_comparison(TokenStream& tokens, Comparison& op) {
    static constexpr std::pair<std::string_view, Comparison> symbols[] = {
        {"==", Comparison::equal},  {"!=", Comparison::not_equal},  {"<", Comparison::less},
        {">", Comparison::greater}, {"<=", Comparison::less_equal}, {">=", Comparison::greater_equal}};
    for (const auto& [symbol, comparison] : symbols) {
        if (!tokens.skip_op(symbol)) continue;
        op = comparison;
        return true;
    }
    op = Comparison::in;
    if (tokens.skip_name("in")) return true;
    if (!tokens.current().is_name("not") || !tokens.ahead().is_name("in")) return false;
    tokens.next();
    tokens.next();
    op = Comparison::not_in;
    return true;
}

ExpressionPtr ExpressionParser::parse_comparison() {
    const int line = tokens_.line();
    ExpressionPtr first = parse_sum();
    CompareChain chain;
    for (Comparison op{}; read_comparison(tokens_, op);) chain.rest.emplace_back(op, parse_sum());
    if (chain.rest.empty()) return first;
    chain.first = std::move(first);
    return make(line, std::move(chain));
}

ExpressionPtr ExpressionParser::parse_sum() {
    ExpressionPtr left = parse_concatenation();
    while (tokens_.current().is_op("+") || tokens_.current().is_op("-")) {
        const Token token = tokens_.next();
        const BinaryOperator op = token.text == "+" ? BinaryOperator::add : BinaryOperator::subtract;
        left = make(token.line, Binary{op, std::move(left), parse_concatenation()});
    }
    return left;
}

ExpressionPtr ExpressionParser::parse_concatenation() {
    const int line = tokens_.line();
    Concatenate all;
    do all.parts.push_back(parse_product());
    while (tokens_.skip_op("~"));
    return all.parts.size() == 1 ? std::move(all.parts[0]) : make(line, std::move(all));
}

ExpressionPtr ExpressionParser::parse_product() {
    static constexpr std::pair<std::string_view, BinaryOperator> symbols[] = {
        {"*", BinaryOperator::multiply},
        {"/", BinaryOperator::divide},
        {"//", BinaryOperator::floor_divide},
        {"%", BinaryOperator::modulo}};
    ExpressionPtr left = parse_power();
    while (true) {
        const auto* found = std::find_if(std::begin(symbols), std::end(symbols), [&](const auto& symbol) {
            return tokens_.current().is_op(symbol.first);
        });
        if (found == std::end(symbols)) return left;
        const int line = tokens_.next().line;
        left = make(line, Binary{found->second, std::move(left), parse_power()});
    }
}

ExpressionPtr ExpressionParser::parse_power() {
    ExpressionPtr left = parse_unary(true);
    while (tokens_.current().is_op("**")) {  // to the left, as Jinja has it
        const int line = tokens_.next().line;
        left = make(line, Binary{BinaryOperator::power, std::move(left), parse_unary(true)});
    }
    return left;
}

ExpressionPtr ExpressionParser::parse_unary(bool with_filters) {
    const Nesting nesting(*this);
    const int line = tokens_.line();
    ExpressionPtr expression;
    if (tokens_.skip_op("-"))
        expression = make(line, Unary{Unary::Operator::negate, parse_unary(false)});
    else if (tokens_.skip_op("+"))
        expression = make(line, Unary{Unary::Operator::plus, parse_unary(false)});
    else
        expression = parse_primary();
    expression = parse_postfix(std::move(expression));
    return with_filters ? parse_filters_and_tests(std::move(expression)) : std::move(expression);
}

ExpressionPtr ExpressionParser::parse_name() {
    const Token token = tokens_.next();
    const std::string& name = token.text;
    if (name == "true" || name == "True") return make(token.line, Literal{true});
    if (name == "false" || name == "False") return make(token.line, Literal{false});
    if (name == "none" || name == "None") return make(token.line, Literal{Value()});
    if (name == "caller" || name == "varargs" || name == "kwargs") special_names.insert(name);
    names.insert(name);
    return make(token.line, Name{name});
}

ExpressionPtr ExpressionParser::parse_primary() {
    const Token& token = tokens_.current();
    const int line = token.line;
    if (token.type == Token::Type::name) return parse_name();
    if (token.type == Token::Type::number) return make(line, Literal{tokens_.next().number});
    if (token.type == Token::Type::string) {
        std::string text;
        while (tokens_.current().type == Token::Type::string) text += tokens_.next().text;
        return make(line, Literal{std::move(text)});
    }
    if (tokens_.skip_op("(")) {
        ExpressionPtr inner = parse_tuple(true, {}, true);
        tokens_.expect_op(")");
        return inner;
    }
    if (token.is_op("[")) return parse_list();
    if (token.is_op("{")) return parse_dict();
    tokens_.unexpected("an expression");
}

ExpressionPtr ExpressionParser::parse_list() {
    const int line = tokens_.next().line;
    ListLiteral list;
    while (!tokens_.current().is_op("]")) {
        list.items.push_back(parse());
        if (!tokens_.skip_op(",")) break;
    }
    tokens_.expect_op("]");
    return make(line, std::move(list));
}

ExpressionPtr ExpressionParser::parse_dict() {
    const int line = tokens_.next().line;
    DictLiteral dict;
    while (!tokens_.current().is_op("}")) {
        ExpressionPtr key = parse();
        tokens_.expect_op(":");
        dict.items.emplace_back(std::move(key), parse());
        if (!tokens_.skip_op(",")) break;
    }
    tokens_.expect_op("}");
    return make(line, std::move(dict));
}

ExpressionPtr ExpressionParser::parse_postfix(ExpressionPtr expression) {
    while (true) {
        const Token& token = tokens_.current();
        const int line = token.line;
        if (token.is_op(".") || token.is_op("["))
            expression = parse_subscript(std::move(expression));
        else if (token.is_op("("))
            expression = make(line, Call{std::move(expression), parse_arguments()});
        else
            return expression;
    }
}

ExpressionPtr ExpressionParser::parse_filters_and_tests(ExpressionPtr expression) {
    while (true) {
        const int line = tokens_.line();
        if (tokens_.current().is_op("|"))
            expression = parse_filters(std::move(expression));
        else if (tokens_.current().is_name("is"))
            expression = parse_test(std::move(expression));
        else if (tokens_.current().is_op("("))
            expression = make(line, Call{std::move(expression), parse_arguments()});
        else
            return expression;
    }
}

ExpressionPtr ExpressionParser::parse_filters(ExpressionPtr input, bool starts_with_name) {
    while (starts_with_name || tokens_.skip_op("|")) {
        starts_with_name = false;
        const int line = tokens_.line();
        std::string name = tokens_.expect_name();
        while (tokens_.skip_op(".")) name += "." + tokens_.expect_name();
        CallArguments arguments;
        if (tokens_.current().is_op("(")) arguments = parse_arguments();
        const Builtin* filter = find_filter(name);
        if (!filter && !unknown_) unknown_ = TemplateError{"No filter named '" + name + "'.", line};
        input = make(line, Filter{std::move(input), std::move(name), filter, std::move(arguments)});
    }
    if (depth_ == 0) check_names();
    return input;
}

ExpressionPtr ExpressionParser::parse_test(ExpressionPtr input) {
    const int line = tokens_.next().line;
    const bool negated = tokens_.skip_name("not");
    std::string name = tokens_.expect_name();
    while (tokens_.skip_op(".")) name += "." + tokens_.expect_name();
    CallArguments arguments;
    const Token& token = tokens_.current();
    const bool starts_argument = token.type == Token::Type::name || token.type == Token::Type::string ||
                                 token.type == Token::Type::number || token.is_op("[") || token.is_op("{");
    if (token.is_op("(")) {
        arguments = parse_arguments();
    } else if (starts_argument && !token.is_name("else") && !token.is_name("or") && !token.is_name("and")) {
        if (token.is_name("is")) fail("You cannot chain multiple tests with is", token.line);
        const Nesting nesting(*this);
        arguments.positional.push_back(parse_postfix(parse_primary()));
    }
    const Builtin* test = find_test(name);
    if (!test && !unknown_) unknown_ = TemplateError{"No test named '" + name + "'.", line};
    return make(line, Test{std::move(input), std::move(name), test, std::move(arguments), negated});
}

ExpressionPtr ExpressionParser::parse_subscript(ExpressionPtr object) {
    const int line = tokens_.line();
    if (tokens_.skip_op(".")) {
        if (tokens_.current().type == Token::Type::name)
            return make(line, Attribute{std::move(object), tokens_.next().text});
        if (tokens_.current().type != Token::Type::number || !tokens_.current().number.is_integer())
            tokens_.unexpected("a name or number");
        return make(line, Subscript{std::move(object), make(line, Literal{tokens_.next().number})});
    }
    tokens_.expect_op("[");
    const auto part = [&]() -> ExpressionPtr {
        const Token& token = tokens_.current();
        return token.is_op(":") || token.is_op("]") ? nullptr : parse();
    };
    ExpressionPtr first = part();
    if (tokens_.skip_op(":")) {
        ExpressionPtr stop = part();
        ExpressionPtr step = tokens_.skip_op(":") ? part() : nullptr;
        tokens_.expect_op("]");
        return make(line, Slice{std::move(object), std::move(first), std::move(stop), std::move(step)});
    }
    if (!first) tokens_.unexpected("an expression");
    if (tokens_.current().is_op(",")) {
        TupleLiteral key;
        key.items.push_back(std::move(first));
        while (tokens_.skip_op(",")) key.items.push_back(parse());
        first = make(line, std::move(key));
    }
    tokens_.expect_op("]");
    return make(line, Subscript{std::move(object), std::move(first)});
}

CallArguments ExpressionParser::parse_arguments() {
    const int line = tokens_.line();
    const auto ensure = [&](bool valid) {
        if (!valid) fail("invalid syntax for function call expression", line);
    };
    tokens_.expect_op("(");
    CallArguments arguments;
    while (!tokens_.current().is_op(")")) {
        if (tokens_.skip_op("*")) {
            ensure(!arguments.spread && !arguments.named_spread);
            arguments.spread = parse();
        } else if (tokens_.skip_op("**")) {
            ensure(!arguments.named_spread);
            arguments.named_spread = parse();
        } else if (tokens_.current().type == Token::Type::name && tokens_.ahead().is_op("=")) {
            ensure(!arguments.named_spread);
            std::string name = tokens_.next().text;
            tokens_.next();
            arguments.named.emplace_back(std::move(name), parse());
        } else {
            ensure(!arguments.spread && !arguments.named_spread && arguments.named.empty());
            arguments.positional.push_back(parse());
        }
        if (!tokens_.skip_op(",")) break;
    }
    tokens_.expect_op(")");
    return arguments;
}

}  // namespace troupe::jinja
