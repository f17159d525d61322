#include "engine/decision_check.hpp"

#include "tests/catch.hpp"

namespace troupe {
namespace {

// Two running (0 decodes, 1 prefills), one waiting of higher priority, one about to end.
struct Fixture {
    std::vector<PolicySequence> sequences{4};
    PolicyView view{};

    Fixture() {
        for (std::uint32_t i = 0; i < 4; ++i) {
            sequences[i].id = i + 1;
            sequences[i].state = POLICY_RUNNING;
            sequences[i].prompt_tokens = 10;
            sequences[i].max_tokens = 5;
        }
        sequences[0].generated_tokens = 2;
        sequences[0].computed_tokens = 11;
        sequences[1].computed_tokens = 4;
        sequences[2].state = POLICY_WAITING;
        sequences[2].priority = -1;
        sequences[3].generated_tokens = 5;
        sequences[3].computed_tokens = 14;
        view.sequences = sequences.data();
        view.num_sequences = 4;
        view.num_running = 3;
        view.token_budget = 12;
        view.max_sequences = 4;
    }
    bool sound(const Decision& decision) const { return !find_fault(view, decision); }
};

TEST_CASE_METHOD(Fixture, "sound decisions pass") {
    CHECK(sound({}));
    CHECK(sound({{{0, 1}, {1, 6}, {2, 5}}, {}}));
    CHECK(sound({{{0, 1}, {2, 10}}, {1, 3}}));
    CHECK(sound({{{2, 10}}, {0}}));  // for one of higher priority
}

TEST_CASE_METHOD(Fixture, "nonsense does not pass") {
    CHECK_FALSE(sound({{{4, 1}}, {}}));           // unknown
    CHECK_FALSE(sound({{}, {4}}));                // unknown
    CHECK_FALSE(sound({{{1, 1}, {1, 1}}, {}}));   // two rows
    CHECK_FALSE(sound({{}, {1, 1}}));             // a victim twice
    CHECK_FALSE(sound({{{1, 1}}, {1}}));          // both
    CHECK_FALSE(sound({{{1, 0}}, {}}));           // no tokens
    CHECK_FALSE(sound({{{0, 2}}, {}}));           // more than there are
    CHECK_FALSE(sound({{{3, 1}}, {}}));           // about to end
    CHECK_FALSE(sound({{{1, 6}, {2, 10}}, {}}));  // over the budget
    CHECK_FALSE(sound({{}, {2}}));                // not running
    CHECK_FALSE(sound({{{1, 1}}, {0}}));          // the oldest, for none of higher priority
    view.max_sequences = 3;
    CHECK_FALSE(sound({{{2, 1}}, {}}));  // too many run
    CHECK(sound({{{2, 1}}, {3}}));
}

TEST_CASE_METHOD(Fixture, "only those that have not begun are shed") {
    Decision decision;
    decision.shed = {2};
    CHECK(sound(decision));
    decision.shed = {2, 2};
    CHECK_FALSE(sound(decision));
    decision.shed = {4};
    CHECK_FALSE(sound(decision));
    decision.shed = {0};
    CHECK_FALSE(sound(decision));
    decision.shed = {2};
    decision.rows = {{2, 1}};
    CHECK_FALSE(sound(decision));
    decision.rows.clear();
    sequences[2].state = POLICY_PREEMPTED;
    CHECK_FALSE(sound(decision));
    sequences[2].state = POLICY_WAITING;
    sequences[2].generated_tokens = 1;  // by a scheduler that is gone
    CHECK_FALSE(sound(decision));
}

TEST_CASE_METHOD(Fixture, "victims have actions that there are, or all have none") {
    Decision decision{{}, {1, 3}, {POLICY_VICTIM_SWAP, POLICY_VICTIM_RECOMPUTE}};
    CHECK(sound(decision));
    decision.victim_actions = {POLICY_VICTIM_SWAP};
    CHECK_FALSE(sound(decision));
    decision.victim_actions = {0, 3};
    CHECK_FALSE(sound(decision));
}

TEST_CASE_METHOD(Fixture, "sums do not wrap around") {
    sequences[1].prompt_tokens = 0xFFFFFFF0;
    sequences[2].prompt_tokens = 0xFFFFFFF0;
    CHECK_FALSE(sound({{{1, 0x80000000}, {2, 0x80000000}}, {}}));
}

}  // namespace
}  // namespace troupe
