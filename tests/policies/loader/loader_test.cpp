// Plug-ins: loaded, watched, kept in a process of their own. The plug-in `trouble` does what it is told.
#include <dirent.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "engine/scheduler.hpp"
#include "policies/loader/make_policy.hpp"
#include "test_paths.hpp"
#include "tests/catch.hpp"

namespace troupe {
namespace {

using namespace std::chrono_literals;

const std::string plugins = TROUPE_TEST_PLUGINS;

PolicyChoice trouble(const std::string& what, bool isolate = false) {
    PolicyChoice choice;
    choice.name = plugins + "/libtrouble.so";
    choice.options = what.empty() ? "" : "do=" + what + "\n";
    choice.isolate = isolate;
    choice.budget = isolate ? 2s : 20ms;
    choice.host = {plugins + "/policy_host"};
    return choice;
}

std::unique_ptr<PolicyPort> started(const PolicyChoice& choice) {
    auto policy = make_policy(choice);
    INFO((policy ? "" : policy.error().message));
    REQUIRE(policy.ok());
    return *std::move(policy);
}

std::string refusal(const PolicyChoice& choice) {
    const auto policy = make_policy(choice);
    return policy ? "" : policy.error().message;
}

// Two prompts of four tokens that wait.
struct View {
    View() {
        for (std::uint32_t i = 0; i < 2; ++i) {
            sequences[i] = {};
            sequences[i].id = i + 1;
            sequences[i].tenant = 7;
            sequences[i].prompt_tokens = 4;
            sequences[i].max_tokens = 5;
        }
        view.sequences = sequences;
        view.num_sequences = 2;
        view.token_budget = 16;
        view.max_sequences = 8;
        view.block_size = 4;
        view.total_blocks = view.free_blocks = 100;
    }
    PolicySequence sequences[2];
    PolicyView view{};
};

std::string rejection(PolicyPort& policy) {
    View v;
    const PolicyOutcome outcome = policy.decide(v.view);
    const auto* rejected = std::get_if<Rejected>(&outcome);
    return rejected == nullptr ? "" : rejected->reason;
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

// Decides until it is accepted again; false if that does not come.
bool recovers(PolicyPort& policy) {
    for (int i = 0; i < 500; ++i) {
        if (rejection(policy).empty()) return true;
        std::this_thread::sleep_for(10ms);  // its process is really started
    }
    return false;
}

TEST_CASE("a policy is built in or a library, and errors say what is there") {
    for (const bool isolate : {false, true}) {
        PolicyChoice choice = trouble("", isolate);
        CHECK(rejection(*started(choice)).empty());
        choice.name = "sjf";
        choice.options = "max_wait=3\n";
        CHECK(rejection(*started(choice)).empty());
        choice.options = "colour=red";
        CHECK(contains(refusal(choice), "There is no option 'colour'"));
        choice = trouble("refuse", isolate);
        CHECK(contains(refusal(choice), "not today"));
        choice = trouble("throw-create", isolate);
        CHECK(contains(refusal(choice), "no way"));
    }
    PolicyChoice choice;
    choice.name = "nonesuch";
    CHECK(contains(refusal(choice), "There is no policy 'nonesuch'; there are fcfs, sjf, "));
    choice.name = "./nonesuch.so";
    CHECK(contains(refusal(choice), "there is no file that can be read"));
    for (const char* endless : {"/dev/zero", "/dev/tty", "/"}) {
        choice.name = endless;
        CHECK(contains(refusal(choice), "there is no file that can be read"));
    }
    choice.name = __FILE__;
    CHECK(contains(refusal(choice), __FILE__));
    choice.name = plugins + "/libold.so";
    CHECK(contains(refusal(choice), "built for version 1"));
    CHECK(policy_option_lines({"a=1", "b=x=y"}).value() == "a=1\nb=x=y\n");
    CHECK_FALSE(policy_option_lines({"a"}).ok());
}

TEST_CASE("the example that is not built in is loaded, and puts the earliest deadline first") {
    PolicyChoice choice;
    choice.name = std::string(TROUPE_EXAMPLE_POLICIES) + "/libdeadline.so";
    auto policy = started(choice);
    View v;
    v.view.max_sequences = 1;
    v.sequences[0].deadline_us = 2000;
    v.sequences[1].deadline_us = 1000;
    const auto first = [&] { return std::get<Decision>(policy->decide(v.view)).rows.at(0).sequence; };
    CHECK(first() == 1);
    v.view.now_us = 1500;  // too late for that one
    CHECK(first() == 0);
}

TEST_CASE("what a plug-in throws or returns costs its decision only") {
    CHECK(rejection(*started(trouble("throw"))) == "it threw an exception: out of ideas");
    CHECK(rejection(*started(trouble("throw-int"))) == "it threw an exception");
    CHECK(rejection(*started(trouble("error"))) == "the policy reported an error");
    CHECK(contains(rejection(*started(trouble("count"))), "counts exceed"));
    auto policy = started(trouble("throw-event"));
    policy->on_event({});
    CHECK(rejection(*policy) == "it threw an exception: bad news (in on_event)");
    CHECK(rejection(*policy).empty());
}

TEST_CASE("a plug-in cannot change the view that its decision is checked against") {
    auto policy = started(trouble("lie"));
    View v;
    policy->decide(v.view);
    CHECK(v.sequences[0].prompt_tokens == 4);
}

TEST_CASE("a slow plug-in pays its time back") {
    PolicyChoice choice = trouble("slow");  // 30 ms
    choice.budget = 10ms;
    auto policy = started(choice);
    CHECK(contains(rejection(*policy), "the budget is 10000 us"));
    CHECK(contains(rejection(*policy), "made up for"));
    CHECK(contains(rejection(*policy), "made up for"));
}

TEST_CASE("a library that is written anew is loaded anew, while the old one decides") {
    const auto path =
        std::filesystem::temp_directory_path() / ("troupe_policy_" + std::to_string(::getpid()) + ".so");
    const auto put = [&](const std::string& file) {
        std::filesystem::copy_file(file, path, std::filesystem::copy_options::overwrite_existing);
    };
    put(plugins + "/libtrouble.so");
    PolicyChoice choice;
    choice.name = path.string();
    choice.options = "do=error\n";
    auto before = started(choice);
    put(std::string(TROUPE_EXAMPLE_POLICIES) + "/libdeadline.so");
    choice.options = "slack_ms=1\n";
    auto after = started(choice);
    CHECK(rejection(*before) == "the policy reported an error");
    CHECK(rejection(*after).empty());
    std::filesystem::remove(path);
}

TEST_CASE("isolated: a process that dies or does not return is replaced, and told of the living") {
    for (const char* what : {"crash-late", "hang-late"}) {
        INFO(what);
        PolicyChoice choice = trouble(what, true);
        choice.budget = 500ms;
        auto policy = started(choice);
        PolicyEvent arrived{};
        arrived.kind = POLICY_EVENT_ARRIVED;
        arrived.sequence = 1;
        policy->on_event(arrived);
        for (int i = 0; i < 3; ++i) CHECK(rejection(*policy).empty());
        const std::string why = rejection(*policy);
        CHECK(contains(why, std::string(what) == "hang-late" ? "did not answer within" : "its process died"));
        CHECK(contains(rejection(*policy), "to be started anew"));
        CHECK(recovers(*policy));
    }
}

TEST_CASE("isolated: what its policy throws, or counts, is rejected, and it goes on") {
    CHECK(contains(rejection(*started(trouble("throw", true))), "out of ideas"));
    CHECK(contains(rejection(*started(trouble("count", true))), "counts exceed"));
    CHECK(contains(rejection(*started(trouble("exit", true))), "its process died"));
    auto policy = started(trouble("throw-event", true));
    policy->on_event({});
    CHECK(contains(rejection(*policy), "bad news"));
    CHECK(rejection(*policy).empty());
}

TEST_CASE("isolated: decisions are the same as in this process") {
    PolicyChoice choice;
    choice.name = "priority";
    auto here = started(choice);
    choice = trouble("", true);
    choice.name = "priority";
    choice.options.clear();
    auto there = started(choice);
    View v;
    v.sequences[1].priority = -1;
    for (auto* policy : {here.get(), there.get()}) {
        const auto decision = std::get<Decision>(policy->decide(v.view));
        REQUIRE(decision.rows.size() == 2);
        CHECK(decision.rows[0].sequence == 1);
        CHECK(decision.rows[0].num_tokens == 4);
    }
}

TEST_CASE("a scheduler under a policy that answers garbage serves on by FCFS") {
    for (const char* what : {"garbage", "throw", "error"}) {
        auto policy = started(trouble(what));
        SchedulerOptions options;
        Scheduler scheduler(options, *policy);
        std::vector<Action> actions;
        const auto handle = [&](const Event& event) { actions = scheduler.handle(event); };
        handle(WorkerReady{1, 1});
        SequenceSpec spec;
        spec.id = 1;
        spec.tokens = {1, 2, 3};
        spec.num_prompt_tokens = 3;
        spec.stop.max_tokens = 2;
        handle(RequestArrived{2, spec});
        REQUIRE(std::holds_alternative<Execute>(actions.at(0)));
        CHECK(scheduler.stats().num_rejected_decisions >= 1);
    }
}

TEST_CASE("one who waits for a policy that does not start is told so; a slow one starts") {
    const auto begin = std::chrono::steady_clock::now();
    const auto policy = make_policy_within(trouble("hang-create"), 100ms);
    CHECK(std::chrono::steady_clock::now() - begin < 5s);
    REQUIRE_FALSE(policy.ok());
    CHECK(policy.error().message.find("has not started within 100 ms") != std::string::npos);
    CHECK(make_policy_within(trouble("slow-create"), 30s).ok());
    CHECK(make_policy_within(trouble("refuse"), 30s).error().message.find("not today") != std::string::npos);
    // What starts too late is ended where it was started.
    CHECK_FALSE(make_policy_within(trouble("slow-create"), 10ms).ok());
    std::this_thread::sleep_for(400ms);
}

}  // namespace
}  // namespace troupe
