// Files of expected renderings: NAME.jinja beside NAME.cases.json, an array of objects with `name`, `input`
// (the variables), `now`, and `output` or `error` (null or absent when there is none). A case may bring its
// own `template` instead.
#pragma once
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "model/jinja/json.hpp"
#include "model/jinja/template.hpp"
#include "tests/catch.hpp"

namespace troupe::jinja {

inline std::string read_file(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

struct CaseCount {
    int passed = 0, all = 0;
};

inline std::string field_text(const Dict& fields, const char* name) {
    const Value* value = fields.field(name);
    return value && value->is_string() ? value->text() : std::string();
}

inline Result<std::string> rendered(const Dict& fields, const std::string& source, const Value& variables) {
    RenderOptions options;
    options.now = parse_civil_time(field_text(fields, "now")).value();
    const auto parsed = Template::parse(source);
    return parsed ? parsed->render(variables, options) : parsed.error();
}

inline bool check_case(const Dict& fields, const Result<std::string>& result) {
    const Value* output = fields.field("output");
    const bool succeeds = output && output->is_string();
    INFO(field_text(fields, "name") << ": " << field_text(fields, "template"));
    if (result.ok() && succeeds) CHECK(*result == output->text());
    if (!result.ok() && succeeds) FAIL_CHECK("error: " << result.error().message);
    if (result.ok() && !succeeds)
        FAIL_CHECK("Python fails: " << field_text(fields, "error") << "\nhere: " << *result);
    if (!result.ok() && !succeeds) CHECK(result.error().code == ErrorCode::invalid_argument);
    return result.ok() == succeeds && (!succeeds || *result == output->text());
}

inline CaseCount check_cases(const std::filesystem::path& path) {
    const auto cases = parse_json(read_file(path));
    REQUIRE(cases.ok());
    std::string stem = path.string();
    stem.resize(stem.size() - std::string(".cases.json").size());
    const std::string source = read_file(stem + ".jinja");
    CaseCount count;
    for (const Value& item : cases->sequence().items) {
        ++count.all;
        const Dict& fields = item.dict();
        const std::string own = field_text(fields, "template");
        count.passed +=
            check_case(fields, rendered(fields, own.empty() ? source : own, *fields.field("input")));
    }
    return count;
}

}  // namespace troupe::jinja
