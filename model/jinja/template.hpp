// A Jinja template as `transformers` sets Jinja up for chat templates: sandboxed and immutable, trim_blocks
// and lstrip_blocks on, loop controls, {% generation %} blocks transparent, the functions raise_exception and
// strftime_now, and `tojson` as Python's json.dumps without ASCII escapes. Values print as Python prints
// them.
//
// The language: https://jinja.palletsprojects.com/en/stable/templates/. Not here, since a chat template is
// one file: include, import, extends, and autoescaping.
#pragma once
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "core/status.hpp"
#include "model/jinja/value.hpp"

namespace troupe::jinja {

// What one rendering may use; a template that would use more ends in an error.
struct Limits {
    size_t max_output = size_t{64} << 20;  // bytes of text
    size_t max_bytes = size_t{1} << 30;    // bytes of values made or searched, in all
    size_t max_steps = 10'000'000;         // nodes evaluated and items iterated
    int max_depth = 1000;                  // nested evaluations: expressions, blocks and macro calls
};

// A wall-clock time without time zone.
using CivilTime = std::chrono::local_time<std::chrono::microseconds>;

struct RenderOptions {
    std::optional<CivilTime> now;  // for strftime_now, which fails without it
    Limits limits;
};

struct Program;

// Immutable: copies share the parsed program, and any number of threads may render at once.
class Template {
  public:
    // Errors are invalid_argument: "line 12: ...".
    static Result<Template> parse(std::string source);

    // Whether it reads a variable of that name anywhere.
    bool reads(const std::string& name) const;

    // `variables` is a dict; see json.hpp for making one. Errors are invalid_argument: "line 12: ...", with
    // the template's own message when it called raise_exception.
    Result<std::string> render(const Value& variables, const RenderOptions& options = {}) const;

  private:
    explicit Template(std::shared_ptr<const Program> program) : program_(std::move(program)) {}
    std::shared_ptr<const Program> program_;
};

// "2026-01-15T12:34:56" (a space for the T and the seconds left out are fine too).
Result<CivilTime> parse_civil_time(const std::string& text);

// All at once, for tools: template text and variables as a JSON object in, text out.
Result<std::string> render_template(std::string source, const std::string& variables_json,
                                    const RenderOptions& options);

}  // namespace troupe::jinja
