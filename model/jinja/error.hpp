// Errors inside the interpreter. They travel as exceptions because the interpreted language's own errors do:
// any expression may raise. Template::parse and Template::render are the border where they become Results.
#pragma once
#include <string>
#include <utility>

namespace troupe::jinja {

struct TemplateError {
    std::string message;
    int line = 0;  // 1-based line of the template; 0 until the parser or evaluator knows it
};

[[noreturn]] inline void fail(std::string message, int line = 0) {
    throw TemplateError{std::move(message), line};
}

}  // namespace troupe::jinja
