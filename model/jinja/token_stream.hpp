// A cursor over tokens, for the parsers.
#pragma once
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "model/jinja/error.hpp"
#include "model/jinja/lexer.hpp"

namespace troupe::jinja {

class TokenStream {
  public:
    explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

    const Token& current() const { return tokens_[at_]; }
    const Token& ahead() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
    int line() const { return current().line; }

    Token next() {
        Token token = tokens_[at_];
        if (token.type != Token::Type::end) ++at_;
        return token;
    }
    bool skip_op(std::string_view symbol) { return current().is_op(symbol) && (next(), true); }
    bool skip_name(std::string_view name) { return current().is_name(name) && (next(), true); }

    void expect_op(std::string_view symbol) {
        if (!skip_op(symbol)) unexpected("'" + std::string(symbol) + "'");
    }
    std::string expect_name() {
        if (current().type != Token::Type::name) unexpected("a name");
        return next().text;
    }
    void expect_name(std::string_view name) {
        if (!skip_name(name)) unexpected("'" + std::string(name) + "'");
    }
    void expect(Token::Type type, const std::string& what) {
        if (current().type != type) unexpected(what);
        next();
    }

    [[noreturn]] void unexpected(const std::string& wanted) const {
        fail("expected " + wanted + ", got " + described(current()), line());
    }

    static std::string described(const Token& token) {
        switch (token.type) {
            case Token::Type::data:
                return "template text";
            case Token::Type::variable_begin:
                return "'{{'";
            case Token::Type::variable_end:
                return "'}}'";
            case Token::Type::block_begin:
                return "'{%'";
            case Token::Type::block_end:
                return "'%}'";
            case Token::Type::string:
                return "a string";
            case Token::Type::end:
                return "the end of the template";
            default:
                return "'" + token.text + "'";
        }
    }

  private:
    std::vector<Token> tokens_;
    size_t at_ = 0;
};

}  // namespace troupe::jinja
