#include "conf/schema.hpp"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "conf/document.hpp"
#include "conf/flags.hpp"
#include "test_paths.hpp"
#include "tests/catch.hpp"

using namespace troupe;

TEST_CASE("names are unique and every option says what it does") {
    std::set<std::string> flags, keys, section_names;
    for (const Section& section : sections()) section_names.insert(section.name);
    for (const Option& option : options()) {
        INFO(option.flag);
        CHECK(flags.insert(option.flag).second);
        CHECK(keys.insert(option.section + "." + option.key).second);
        CHECK(section_names.contains(option.section));
        CHECK(option.flag.starts_with("--"));
        CHECK(option.help.size() > 20);
        CHECK(option.help.ends_with("."));
        CHECK_FALSE(option.metavar.empty());
    }
}

TEST_CASE("variables are named after the flag") {
    CHECK(options().front().environment_variable() == "TROUPE_MODEL");
}

TEST_CASE("a default is a value that the option itself takes") {
    for (const Option& option : options()) {
        const bool is_value = option.default_value.find_first_of(" -,") == std::string::npos;
        if (option.kind == ValueKind::text || !is_value) continue;
        Config config;
        INFO(option.flag);
        CHECK(option.set(config, option.default_value).ok());
    }
}

TEST_CASE("a command has the options that it asked for, and no others") {
    CLI::App app;
    ConfigFlags flags;
    flags.add_to(app, {"model", "--threads"});
    app.parse("--compute f32 --threads 3");
    const Config config = flags.load().value();
    CHECK(config.model.compute == ComputeType::f32);
    CHECK(config.engine.threads == 3);
    CHECK_THROWS_AS(app.parse("--port 1"), CLI::ParseError);
}

TEST_CASE("a list may be given several times, any other option once") {
    CLI::App app;
    ConfigFlags flags;
    flags.add_to(app, {"--cors-origin", "--threads"});
    app.parse("--cors-origin http://a --cors-origin http://b,http://c");
    CHECK(flags.load().value().server.cors_origins ==
          std::vector<std::string>{"http://a", "http://b", "http://c"});
    CHECK_THROWS_AS(app.parse("--threads 1 --threads 2"), CLI::ParseError);
}

TEST_CASE("a flag takes no value") {
    CLI::App app;
    ConfigFlags flags;
    flags.add_to(app, {"policy"});
    app.parse("--isolate-policy --policy sjf --policy-option a=1 --policy-option b=2");
    const Config config = flags.load().value();
    CHECK(config.policy.isolate);
    CHECK(config.policy.name == "sjf");
    CHECK(config.policy.options == std::vector<std::string>{"a=1", "b=2"});
}

TEST_CASE("docs/configuration.md is what the schema says") {
    const std::string path = std::string(TROUPE_TEST_DATA) + "/../../docs/configuration.md";
    if (std::getenv("TROUPE_UPDATE_DOCS") != nullptr) std::ofstream(path) << configuration_document();
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    INFO("after a change of the schema run TROUPE_UPDATE_DOCS=1 build/release/test_conf");
    CHECK(text.str() == configuration_document());
}
