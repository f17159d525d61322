// A policy is replaced while requests run: none is lost, and the new one knows them all.
#include <algorithm>

#include "policies/builtin.hpp"
#include "tests/actors/troupe_fixture.hpp"

using namespace troupe;

namespace {

const std::vector<TokenId> prompt{101, 102, 103, 104, 105};

// First come, first served, and a list of what it was told.
struct Listening final : PolicyPort {
    std::vector<PolicyEvent> events;
    int decisions = 0;
    std::string fault;   // instead of a decision
    bool sheds = false;  // everything
    TablePolicyPort fcfs{*find_builtin_policy("fcfs")};

    PolicyOutcome decide(const PolicyView& view) override {
        ++decisions;
        if (!fault.empty()) return Rejected{fault};
        if (sheds) {
            Decision decision;
            for (std::uint32_t i = 0; i < view.num_sequences; ++i) decision.shed.push_back(i);
            return decision;
        }
        return fcfs.decide(view);
    }
    void on_event(const PolicyEvent& event) override { events.push_back(event); }
    std::size_t count(PolicyEventKind kind) const {
        return static_cast<std::size_t>(
            std::count_if(events.begin(), events.end(), [&](const auto& e) { return e.kind == kind; }));
    }
};

PolicyChoice named(const std::string& name) {
    PolicyChoice choice;
    choice.name = name;
    return choice;
}

}  // namespace

TEST_CASE("a policy that takes over in mid-stream is told of what lives, and the tokens go on") {
    TroupeFixture troupe;
    troupe.start();
    auto a = troupe.submit(TroupeFixture::request("1", prompt, 30));
    auto b = troupe.submit(TroupeFixture::request("2", prompt, 30));
    while (a->text_tokens < 5) REQUIRE(troupe.simulation.step());
    auto listening = std::make_shared<Listening>();
    caf::anon_send(troupe.supervisors.at(0), ReplacePolicy{named("listening"), listening});
    troupe.simulation.run();
    REQUIRE(a->finished);
    REQUIRE(b->finished);
    CHECK(a->finished->ids == TroupeFixture::expected(prompt, 30));
    CHECK(b->finished->ids == TroupeFixture::expected(prompt, 30));
    CHECK(listening->decisions > 10);
    CHECK(listening->count(POLICY_EVENT_LIVE) == 2);
    CHECK(listening->count(POLICY_EVENT_ARRIVED) == 0);
    CHECK(listening->count(POLICY_EVENT_FINISHED) == 2);
}

TEST_CASE("a policy that answers nothing usable is counted, and requests are served by FCFS") {
    TroupeFixture troupe;
    troupe.start();
    auto listening = std::make_shared<Listening>();
    listening->fault = "broken";
    caf::anon_send(troupe.supervisors.at(0), ReplacePolicy{named("broken"), listening});
    troupe.simulation.run();
    auto reader = troupe.submit(TroupeFixture::request("1", prompt, 10));
    troupe.simulation.run();
    REQUIRE(reader->finished);
    CHECK(reader->finished->ids == TroupeFixture::expected(prompt, 10));
    CHECK(troupe.counter("policy_decisions_rejected_total") >= 10);
}

TEST_CASE("what a policy sheds fails with an error that says so") {
    TroupeFixture troupe;
    troupe.start();
    auto listening = std::make_shared<Listening>();
    listening->sheds = true;
    caf::anon_send(troupe.supervisors.at(0), ReplacePolicy{named("shedding"), listening});
    troupe.simulation.run();
    auto reader = troupe.submit(TroupeFixture::request("1", prompt, 10));
    troupe.simulation.run();
    REQUIRE(reader->finished);
    CHECK(reader->finished->reason == FinishReason::failed);
    CHECK(reader->finished->error->tag == "slo_unreachable");
    CHECK(reader->finished->error->code == ErrorCode::resource_exhausted);
    CHECK(reader->text.empty());
    CHECK(troupe.counter("requests_shed_total") == 1);
    CHECK(troupe.counter("policy_decisions_rejected_total") == 0);
}
