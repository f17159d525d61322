// `troupe policy check`: finds what is wrong with a plug-in, and nothing where nothing is.
#include "apps/policy_check.hpp"

#include "apps/policy_choice.hpp"
#include "policies/builtin.hpp"
#include "test_paths.hpp"
#include "tests/catch.hpp"

namespace troupe {
namespace {

PolicyCheckReport checked(const std::string& path, const std::string& what = {}) {
    PolicyCheckOptions options;
    options.path = path;
    options.options = what.empty() ? "" : "do=" + what + "\n";
    options.states = 300;
    options.patience = std::chrono::milliseconds(1500);
    return check_policy(options);
}

bool finds(const std::string& what, const std::string& fault) {
    const auto report = checked(TROUPE_TEST_PLUGINS "/libtrouble.so", what);
    std::string all;
    for (const std::string& line : report.faults) all += line + "\n";
    UNSCOPED_INFO(what << " gave:\n" << all);
    return all.find(fault) != std::string::npos;
}

TEST_CASE("policy check: a sound plug-in has no faults") {
    for (const std::string& path : {std::string(TROUPE_TEST_PLUGINS "/libtrouble.so"),
                                    std::string(TROUPE_EXAMPLE_POLICIES "/libdeadline.so")}) {
        const auto report = checked(path);
        INFO(path << ": " << (report.faults.empty() ? "" : report.faults.front()));
        CHECK(report.faults.empty());
        CHECK(report.decisions > 300);
    }
}

TEST_CASE("policy check: the built-in policies stand it, too") {
    for (const BuiltinPolicy& policy : builtin_policies()) {
        const auto report = checked(policy.name);
        INFO(policy.name << ": " << (report.faults.empty() ? "" : report.faults.front()));
        CHECK(report.faults.empty());
    }
}

TEST_CASE("policy check: each kind of trouble is found and named") {
    CHECK(finds("garbage", "decides nonsense"));
    CHECK(finds("throw", "throws an exception from decide(): out of ideas"));
    CHECK(finds("throw-int", "throws an exception from decide()"));
    CHECK(finds("throw-event", "throws an exception from on_event(): bad news"));
    CHECK(finds("throw-create", "throws an exception from create(): no way"));
    CHECK(finds("refuse", "does not start: not today"));
    CHECK(finds("error", "returns an error from decide()"));
    CHECK(finds("count", "counts more rows"));
    CHECK(finds("lie", "changes the view"));
    CHECK(finds("outside", "writes outside the arrays"));
    CHECK(finds("crash", "crashed"));
    CHECK(finds("error-then-crash", "crashed"));
    CHECK(finds("error-then-crash", "returns an error from decide(), first in state "));
    CHECK(finds("hang-create", "did not return within 1500 ms in create()"));
    CHECK(finds("crash-late", "crashed"));
    CHECK(finds("hang", "did not return within 1500 ms in decide()"));
    CHECK(finds("exit", "ended the process"));
#if !defined(__SANITIZE_ADDRESS__)  // whose allocator does not count
    CHECK(finds("leak", "leaks about"));
    CHECK(finds("leak-create", "with each create() and destroy()"));
#endif
    CHECK_FALSE(checked("/nonesuch.so").faults.empty());
    CHECK_FALSE(checked(TROUPE_TEST_PLUGINS "/libold.so").faults.empty());
}

TEST_CASE("a simulation takes plug-ins, too") {
    const std::string path = TROUPE_EXAMPLE_POLICIES "/libdeadline.so";
    const auto policies = choose_policies("fcfs," + path, {path + ":slack_ms=5"});
    REQUIRE(policies.ok());
    REQUIRE(policies->size() == 2);
    CHECK((*policies)[1].make() != nullptr);
    CHECK_FALSE(choose_policies(path, {"colour=red"}).ok());
    CHECK_FALSE(choose_policies("./nonesuch.so", {}).ok());
}

TEST_CASE("policy check: slow calls are found") {
    PolicyCheckOptions options;
    options.path = TROUPE_TEST_PLUGINS "/libtrouble.so";
    options.options = "do=slow\n";  // 30 ms
    options.states = 2;
    options.patience = std::chrono::milliseconds(200);
    options.calls_only = true;
    const auto report = check_policy(options);
    REQUIRE(report.faults.size() == 1);
    CHECK(report.faults[0].find("is slow: decide() takes") == 0);
}

}  // namespace
}  // namespace troupe
