// Whatever the template or its variables are, rendering ends soon, in bounded memory, with a result or an
// error.
#include "model/jinja/json.hpp"
#include "model/jinja/template.hpp"
#include "tests/catch.hpp"

using namespace troupe;
using namespace troupe::jinja;

static std::string error_of(const std::string& source, const std::string& variables = "{}",
                            RenderOptions options = {}) {
    const auto result = render_template(source, variables, options);
    if (result.ok()) return "no error, but: " + result->substr(0, 200);
    CHECK(result.error().code == ErrorCode::invalid_argument);
    return result.error().message;
}

TEST_CASE("errors name the line") {
    CHECK(error_of("a\n{{ 1 +\n }}") == "line 3: expected an expression, got '}}'");
    CHECK(error_of("a\n\n{{ missing.x }}") == "line 3: 'missing' is undefined");
    CHECK(error_of("{% if true %}\nb\n{{ 'a' + 1 }}{% endif %}") ==
          "line 3: can only concatenate str (not \"int\") to str");
    CHECK(error_of("{% macro m(x) %}\n{{ x.y.z }}\n{% endmacro %}\n\n{{ m({}) }}") ==
          "line 2: 'dict object' has no attribute 'y'");
    CHECK(error_of("\n{% for x in [1] %}") ==
          "line 2: Unexpected end of template: {% for %} of line 2 is not closed");
    CHECK(error_of("{# x") == "line 1: Missing end of comment tag");
    CHECK(error_of("\n{{ raise_exception('my words') }}") == "line 2: my words");
    CHECK(error_of("\n\n{% include 'x' %}") == "line 3: {% include %} is not supported in chat templates");
    CHECK(error_of("\n{{ 1|nosuch }}") == "line 2: No filter named 'nosuch'.");
}

TEST_CASE("integers beyond 64 bits are errors, not wrong numbers") {
    const std::string message = "line 1: an integer does not fit into 64 bits";
    for (const char* source : {"{{ 2**63 }}", "{{ 9223372036854775807 + 1 }}", "{{ 10**18 * 10 }}",
                               "{{ -2**63 - 1 }}", "{{ (-(2**62) * 2) // -1 }}", "{{ (-(2**62) * 2)|abs }}",
                               "{{ '9223372036854775808'|int }}", "{{ 1e300|int }}"})
        CHECK(error_of(source) == message);
    CHECK(error_of("{{ 9223372036854775808 }}").find("64-bit") != std::string::npos);
    CHECK_FALSE(parse_json("[18446744073709551615]").ok());
    CHECK(render_template("{{ -(2**62) * 2 }} {{ (-(2**62) * 2) % -1 }}", "{}", {}).value() ==
          "-9223372036854775808 0");
}

TEST_CASE("time, output and memory are bounded") {
    RenderOptions small;
    small.limits.max_steps = 10000;
    small.limits.max_output = 1000;
    small.limits.max_bytes = 1 << 20;
    const std::string loops = "{% for a in range(1000) %}{% for b in range(1000) %}{% endfor %}{% endfor %}";
    CHECK(error_of(loops, "{}", small) == "line 1: the template takes too many steps");
    CHECK(error_of("{{ 'x' * 1001 }}", "{}", small) == "line 1: the template's output is too long");
    for (const char* source : {
             "{% set x = 'a' * 1000000000000 %}",
             "{% set x = [0] * 1000000000 %}",
             "{% set x = 'a'.center(100000000) %}",
             "{% set x = '%1000000d' % 1 %}{% set x = '%1000000d' % 1 %}",
             "{% set x = '{:1000000}'.format(1) %}{% set x = '{:1000000}'.format(1) %}",
             "{% set x = ('a' * 5000).replace('a', 'b' * 5000) %}",
             "{% set x = ('a\n' * 5000)|indent(5000) %}",
             "{% set x = [[1]]|tojson(indent=100000000) %}",
             "{% set x = [1]|batch(100000000, 0)|list %}",
             "{% set x = [1]|slice(100000000)|list %}",
             "{% set ns = namespace(s='ab') %}{% for i in range(100) %}{% set ns.s = ns.s ~ ns.s %}{% endfor "
             "%}",
             "{% set ns = namespace(s='ab') %}{% for i in range(100) %}{% set ns.s = ns.s + ns.s %}{% endfor "
             "%}",
         }) {
        INFO(source);
        CHECK(error_of(source, "{}", small).find(": the template uses too much memory") == 6);
    }
    CHECK(error_of("{{ range(100001) }}").find("Range too big") != std::string::npos);
    CHECK(error_of("{{ range(-9223372036854775807, 9223372036854775807) }}").find("Range too big") !=
          std::string::npos);
    CHECK(
        error_of("{{ strftime_now('%9999999d') }}", "{}", {parse_civil_time("2026-01-15 12:34").value(), {}})
            .find("too long") != std::string::npos);
}

TEST_CASE("values that share parts are bounded by what it takes to walk them") {
    const std::string twice =
        "{% set ns = namespace(x=[1]) %}{% for i in range(400) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}";
    CHECK(error_of(twice + "{{ ns.x }}") == "line 1: a value is too large");
    const std::string deep =
        "{% set ns = namespace(x=[1]) %}{% for i in range(90000) %}{% set ns.x = [ns.x] %}{% endfor %}";
    CHECK(error_of(deep) == "line 1: values are nested too deeply");
    const std::string lazy =
        "{% set ns = namespace(x=[1]) %}{% for i in range(90000) %}{% set ns.x = ns.x|map('upper') %}{% "
        "endfor %}";
    CHECK(error_of(lazy) == "line 1: values are nested too deeply");
}

TEST_CASE("objects that hold themselves are printed to a bounded depth, and freed") {
    // Freed: the sanitizers' leak check sees what is not.
    CHECK(render_template("{% set ns = namespace() %}{% set ns.self = ns %}{{ ns.self.self is defined }}",
                          "{}", {})
              .value() == "True");
    CHECK(render_template("{% macro m() %}x{% endmacro %}{% set k = m %}{{ k() }}", "{}", {}).value() == "x");
    CHECK(render_template("{% for i in [1] %}{{ loop.changed(loop) }}{% endfor %}", "{}", {}).value() ==
          "True");
    CHECK(render_template("{% set ns = namespace() %}{% set ns.self = [ns] %}{{ ns }}", "{}", {}).value() ==
          "<Namespace {'self': [<Namespace {...}>]}>");
    const std::string chain =
        "{% set ns = namespace(x=0) %}{% for i in range(9000) %}{% set ns.x = namespace(x=ns.x) %}{% endfor "
        "%}";
    CHECK(error_of(chain + "{{ ns }}") == "line 1: maximum recursion depth exceeded");
}

TEST_CASE("recursion is bounded, in templates and in their text") {
    CHECK(error_of("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}") ==
          "line 1: maximum recursion depth exceeded");
    CHECK(error_of("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}") ==
          "line 1: maximum recursion depth exceeded");
    const auto repeated = [](const std::string& text, int count) {
        std::string all;
        for (int i = 0; i < count; ++i) all += text;
        return all;
    };
    for (const char* opener : {"(", "[", "{1:", "-", "not ", "a[", "a(", "1 if 1 else ", "a|f("})
        CHECK(error_of("{{ " + repeated(opener, 100000)).find("line 1: ") == 0);
    for (const char* chained : {" + 1", ".a", "|list", " ~ 1", "[0]", " is defined", "()", " and 1"}) {
        INFO(chained);
        const auto result = render_template("{{ 1" + repeated(chained, 100000) + " }}", "{}", {});
        CHECK((result.ok() || result.error().message.find("line 1: ") == 0));
    }
    CHECK(error_of(repeated("{% if 1 %}", 100000)) == "line 1: blocks are nested too deeply");
    CHECK(error_of("{% for " + repeated("(", 100000)).find("line 1: ") == 0);
    CHECK_FALSE(parse_json(repeated("[", 100000)).ok());
    CHECK_FALSE(parse_json(repeated("[", 300) + repeated("]", 300)).ok());
}

TEST_CASE("text that is not UTF-8 or not JSON is refused") {
    CHECK(error_of("a\xff") == "line 1: the template is not valid UTF-8");
    CHECK(error_of("{{ '\\ud800' }}").find("line 1: ") == 0);
    CHECK_FALSE(render_template("x", "{\"a\": \"\xff\"}", {}).ok());
    CHECK_FALSE(render_template("x", "[1]", {}).ok());
    CHECK_FALSE(render_template("x", "", {}).ok());
}

TEST_CASE("civil times") {
    CHECK(parse_civil_time("2026-01-15T12:34:56").ok());
    CHECK(parse_civil_time("2026-01-15 12:34").ok());
    for (const char* text :
         {"", "2026-02-30T00:00:00", "2026-01-15", "2026-01-15T24:00:00", "2026-01-15T12:34:56Z", "now"})
        CHECK_FALSE(parse_civil_time(text).ok());
    CHECK(error_of("{{ strftime_now('%Y') }}") == "line 1: strftime_now: the time is not known here");
}
