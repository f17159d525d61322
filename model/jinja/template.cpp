#include "model/jinja/template.hpp"

#include <cstdio>

#include "model/jinja/error.hpp"
#include "model/jinja/evaluator.hpp"
#include "model/jinja/json.hpp"
#include "model/jinja/parser.hpp"

namespace troupe::jinja {

struct Program {
    ParsedTemplate parsed;
};

static Error with_line(const TemplateError& error, int line) {
    return invalid_argument("line " + std::to_string(error.line ? error.line : line) + ": " + error.message);
}

Result<Template> Template::parse(std::string source) {
    try {
        return Template(std::make_shared<const Program>(Program{parse_template(source)}));
    } catch (const TemplateError& error) {
        return with_line(error, 1);
    }
}

bool Template::reads(const std::string& name) const { return program_->parsed.names.contains(name); }

Result<std::string> Template::render(const Value& variables, const RenderOptions& options) const {
    if (!variables.is_dict()) return invalid_argument("The variables of a template must be a JSON object.");
    Runtime runtime(options);
    try {
        return Evaluator(runtime, variables).render(program_->parsed.block);
    } catch (const TemplateError& error) {
        return with_line(error, runtime.line);
    }
}

Result<CivilTime> parse_civil_time(const std::string& text) {
    int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, used = 0;
    char separator = 0;
    const int fields = std::sscanf(text.c_str(), "%4d-%2d-%2d%c%2d:%2d%n", &year, &month, &day, &separator,
                                   &hour, &minute, &used);
    bool valid = fields == 6 && (separator == 'T' || separator == ' ');
    if (valid && text[static_cast<size_t>(used)] == ':') {
        int more = 0;
        valid = std::sscanf(text.c_str() + used, ":%2d%n", &second, &more) == 1;
        used += more;
    }
    const std::chrono::year_month_day date{std::chrono::year(year),
                                           std::chrono::month(static_cast<unsigned>(month)),
                                           std::chrono::day(static_cast<unsigned>(day))};
    const bool in_range = hour >= 0 && hour < 24 && minute >= 0 && minute < 60 && second >= 0 && second < 60;
    if (!valid || static_cast<size_t>(used) != text.size() || !date.ok() || !in_range)
        return invalid_argument("'" + text + "' is not a time such as 2026-01-15T12:34:56.");
    return CivilTime(std::chrono::local_days(date) + std::chrono::hours(hour) + std::chrono::minutes(minute) +
                     std::chrono::seconds(second));
}

Result<std::string> render_template(std::string source, const std::string& variables_json,
                                    const RenderOptions& options) {
    auto parsed = Template::parse(std::move(source));
    if (!parsed) return parsed.error();
    auto variables = parse_json(variables_json);
    if (!variables) return variables.error();
    return parsed->render(*variables, options);
}

}  // namespace troupe::jinja
