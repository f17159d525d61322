#include "model/jinja/parser.hpp"

#include "model/jinja/expression_parser.hpp"

namespace troupe::jinja {
namespace {

constexpr int max_nesting = 100;  // of blocks: executing and destroying them recurses

using EndTags = std::initializer_list<std::string_view>;

class StatementParser {
  public:
    explicit StatementParser(const std::string& source) : tokens_(tokenize(source)), expressions_(tokens_) {}

    ParsedTemplate run() {
        Block block = parse_block({}, "", 0);
        return {std::move(block), std::move(expressions_.names)};
    }

  private:
    // Statements up to one of the end tags, whose name stays the current token; or to the end of the template
    // when there are none.
    Block parse_block(EndTags end_tags, std::string_view opener, int opened_at) {
        if (++depth_ > max_nesting) fail("blocks are nested too deeply", tokens_.line());
        Block block;
        while (!at_end_tag(end_tags)) {
            const Token token = tokens_.next();
            if (token.type == Token::Type::end) {
                if (end_tags.size() == 0) break;
                fail("Unexpected end of template: {% " + std::string(opener) + " %} of line " +
                         std::to_string(opened_at) + " is not closed",
                     token.line);
            }
            if (token.type == Token::Type::data) {
                block.push_back({token.line, Data{token.text}});
            } else if (token.type == Token::Type::variable_begin) {
                ExpressionPtr value = expressions_.parse_tuple();
                tokens_.expect(Token::Type::variable_end, "'}}'");
                block.push_back({token.line, Output{std::move(value)}});
            } else {
                parse_statement(block);
                tokens_.expect(Token::Type::block_end, "'%}'");
            }
        }
        --depth_;
        return block;
    }

    bool at_end_tag(EndTags end_tags) {
        if (tokens_.current().type != Token::Type::block_begin) return false;
        for (const std::string_view tag : end_tags) {
            if (!tokens_.ahead().is_name(tag)) continue;
            tokens_.next();
            return true;
        }
        return false;
    }

    // The body of a tag, from the end of that tag.
    Block parse_body(EndTags end_tags, std::string_view opener, int line) {
        tokens_.skip_op(":");
        tokens_.expect(Token::Type::block_end, "'%}'");
        const bool outer = std::exchange(expressions_.inside_if, opener == "if");
        Block body = parse_block(end_tags, opener, line);
        expressions_.inside_if = outer;
        return body;
    }
    // The same with one end tag, which is consumed.
    Block parse_body(std::string_view end_tag, std::string_view opener, int line) {
        Block body = parse_body({end_tag}, opener, line);
        tokens_.next();
        return body;
    }

    // What belongs to a body although it stands in the tag, so that an {% if %} around it does not matter.
    template <class Parse>
    ExpressionPtr parse_always(Parse&& parse) {
        const bool outer = std::exchange(expressions_.inside_if, false);
        ExpressionPtr expression = parse();
        expressions_.inside_if = outer;
        return expression;
    }

    void parse_statement(Block& block) {
        const int line = tokens_.line();
        const std::string tag = tokens_.expect_name();
        const auto add = [&](Statement::Node node) { block.push_back({line, std::move(node)}); };
        if (tag == "if") return add(parse_if(line));
        if (tag == "for") return add(parse_for(line));
        if (tag == "set") return add(parse_set(line));
        if (tag == "macro") return add(parse_macro(line));
        if (tag == "call") return add(parse_call(line));
        if (tag == "filter") return add(parse_filter(line));
        if (tag == "with") return add(parse_with(line));
        if (tag == "generation") return add(Scoped{parse_body("endgeneration", tag, line)});
        if (tag == "block") return add(parse_named_block(line));
        if (tag == "print") return parse_print(block, line);
        if (tag == "break" || tag == "continue") {
            if (loops_ == 0) fail("'" + tag + "' outside of a loop", line);
            return tag == "break" ? add(Break{}) : add(Continue{});
        }
        if (tag == "include" || tag == "import" || tag == "from" || tag == "extends" || tag == "autoescape")
            fail("{% " + tag + " %} is not supported in chat templates", line);
        fail("Encountered unknown tag '" + tag + "'.", line);
    }

    If parse_if(int line) {
        If statement;
        while (true) {
            const bool outer = std::exchange(expressions_.inside_if, true);
            ExpressionPtr condition = expressions_.parse_tuple(false);
            expressions_.inside_if = outer;
            Block body = parse_body({"elif", "else", "endif"}, "if", line);
            statement.branches.emplace_back(std::move(condition), std::move(body));
            if (tokens_.skip_name("elif")) continue;
            if (tokens_.skip_name("else"))
                statement.otherwise = parse_body("endif", "if", line);
            else
                tokens_.next();
            return statement;
        }
    }

    For parse_for(int line) {
        For statement{};
        statement.target = parse_target("in");
        if (assigns(statement.target, "loop"))
            fail("Can't assign to special loop variable in for-loop target", line);
        tokens_.expect_name("in");
        statement.iterable = expressions_.parse_tuple(false, "recursive");
        if (tokens_.skip_name("if")) statement.condition = parse_always([&] { return expressions_.parse(); });
        statement.recursive = tokens_.skip_name("recursive");
        ++loops_;
        statement.body = parse_body({"endfor", "else"}, "for", line);
        --loops_;
        if (tokens_.next().text == "else") statement.otherwise = parse_body("endfor", "for", line);
        return statement;
    }

    Statement::Node parse_set(int line) {
        Target target = parse_target({});
        if (tokens_.skip_op("=")) return Set{std::move(target), expressions_.parse_tuple()};
        ExpressionPtr filter = parse_always([&] { return expressions_.parse_filters(nullptr); });
        return SetBlock{std::move(target), std::move(filter), parse_body("endset", "set", line)};
    }

    MacroDefinition parse_macro(int line) {
        MacroDefinition macro;
        macro.name = tokens_.expect_name();
        parse_signature(macro);
        parse_macro_body(macro, "endmacro", "macro", line);
        return macro;
    }

    CallBlock parse_call(int line) {
        CallBlock statement;
        if (tokens_.current().is_op("(")) parse_signature(statement.caller);
        statement.call = expressions_.parse();
        if (!std::holds_alternative<Call>(statement.call->node)) fail("expected call", line);
        parse_macro_body(statement.caller, "endcall", "call", line);
        return statement;
    }

    void parse_signature(MacroDefinition& macro) {
        tokens_.expect_op("(");
        while (!tokens_.current().is_op(")")) {
            if (!macro.parameters.empty()) tokens_.expect_op(",");
            macro.parameters.push_back(tokens_.expect_name());
            if (tokens_.skip_op("="))
                macro.defaults.push_back(parse_always([&] { return expressions_.parse(); }));
            else if (!macro.defaults.empty())
                fail("non-default argument follows default argument", tokens_.line());
        }
        tokens_.next();
    }

    // Whether the body names caller, varargs or kwargs decides what the macro may be called with.
    void parse_macro_body(MacroDefinition& macro, std::string_view end_tag, std::string_view opener,
                          int line) {
        std::set<std::string> outer = std::exchange(expressions_.special_names, {});
        const int outer_loops = std::exchange(loops_, 0);
        macro.body = parse_body(end_tag, opener, line);
        loops_ = outer_loops;
        const auto uses = [&](const char* name) {
            const auto& parameters = macro.parameters;
            return expressions_.special_names.count(name) != 0 &&
                   std::find(parameters.begin(), parameters.end(), name) == parameters.end();
        };
        macro.uses_caller = uses("caller");
        macro.uses_varargs = uses("varargs");
        macro.uses_kwargs = uses("kwargs");
        expressions_.special_names.merge(outer);
    }

    FilterBlock parse_filter(int line) {
        ExpressionPtr filter = parse_always([&] { return expressions_.parse_filters(nullptr, true); });
        return {std::move(filter), parse_body("endfilter", "filter", line)};
    }

    With parse_with(int line) {
        With statement;
        while (tokens_.current().type != Token::Type::block_end) {
            if (!statement.assignments.empty()) tokens_.expect_op(",");
            Target target = parse_single_target();
            tokens_.expect_op("=");
            statement.assignments.emplace_back(std::move(target), expressions_.parse());
        }
        statement.body = parse_body("endwith", "with", line);
        return statement;
    }

    // Without inheritance a block is just its body.
    Scoped parse_named_block(int line) {
        const std::string name = tokens_.expect_name();
        tokens_.skip_name("scoped");
        tokens_.skip_name("required");
        Scoped statement{parse_body("endblock", "block", line)};
        tokens_.skip_name(name);
        return statement;
    }

    void parse_print(Block& block, int line) {
        for (bool first = true; tokens_.current().type != Token::Type::block_end; first = false) {
            if (!first) tokens_.expect_op(",");
            block.push_back({line, Output{expressions_.parse()}});
        }
    }

    // name, ns.name, or several with commas; ends before `stop_name`, "=", "|" or the end of the tag.
    Target parse_target(std::string_view stop_name) {
        Target target = parse_single_target();
        if (!tokens_.current().is_op(",")) return target;
        Target tuple;
        tuple.is_tuple = true;
        tuple.elements.push_back(std::move(target));
        while (tokens_.skip_op(",")) {
            const Token& token = tokens_.current();
            const bool ends = token.is_op("=") || token.is_op(")") || token.type == Token::Type::block_end ||
                              (!stop_name.empty() && token.is_name(stop_name));
            if (ends) break;
            tuple.elements.push_back(parse_single_target());
        }
        return tuple;
    }

    Target parse_single_target() {
        if (tokens_.skip_op("(")) {
            if (++depth_ > max_nesting) fail("the target is nested too deeply", tokens_.line());
            Target target = parse_target({});
            --depth_;
            tokens_.expect_op(")");
            return target;
        }
        Target target;
        const int line = tokens_.line();
        target.name = tokens_.expect_name();
        for (const std::string_view constant : {"true", "false", "none", "True", "False", "None"})
            if (target.name == constant) fail("can't assign to '" + target.name + "'", line);
        if (tokens_.skip_op(".")) target.field = tokens_.expect_name();
        return target;
    }

    static bool assigns(const Target& target, std::string_view name) {
        if (!target.is_tuple) return target.name == name && target.field.empty();
        return std::any_of(target.elements.begin(), target.elements.end(),
                           [&](const Target& element) { return assigns(element, name); });
    }

    TokenStream tokens_;
    ExpressionParser expressions_;
    int depth_ = 0;
    int loops_ = 0;  // that break and continue may refer to
};

}  // namespace

ParsedTemplate parse_template(const std::string& source) { return StatementParser(source).run(); }

}  // namespace troupe::jinja
