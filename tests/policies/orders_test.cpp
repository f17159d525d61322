// What tells the built-in policies apart: whom they admit, whom they preempt, whom they refuse.
#include "policies/builtin.hpp"
#include "tests/catch.hpp"
#include "tests/policies/asked.hpp"

namespace troupe::test {
namespace {

const PolicyTable& named(const char* name) {
    const PolicyTable* table = find_builtin_policy(name);
    REQUIRE(table != nullptr);
    return *table;
}

// Waiting ones with ids 1, 2, ..., a second apart.
std::vector<PolicySequence> waiting(std::initializer_list<std::uint32_t> prompts) {
    std::vector<PolicySequence> sequences;
    for (const std::uint32_t prompt : prompts) {
        sequences.push_back(sequence(POLICY_WAITING, prompt, 0, 0, 0));
        sequences.back().id = sequences.size();
        sequences.back().arrival_us = static_cast<std::int64_t>(sequences.size()) * 1000000;
    }
    return sequences;
}

TEST_CASE("options that no policy has, or out of range, are refused in words") {
    for (const BuiltinPolicy& policy : builtin_policies()) {
        CHECK(refusal(policy.table(), "") == "");
        CHECK(refusal(policy.table(), "colour=red").find("There is no option 'colour'") == 0);
        CHECK(refusal(policy.table(), "colour").find("is not key=value") != std::string::npos);
    }
    CHECK(refusal(named("lpm"), "max_wait=2.5") == "");
    CHECK(refusal(named("lpm"), "max_wait=-1") ==
          "The option 'max_wait' must be a number from 0 to 86400; it is '-1'.");
    CHECK(refusal(named("lpm"), "max_wait=1\nmax_wait=2") == "The option 'max_wait' is given twice.");
    CHECK(refusal(named("sjf"), "max_wait=nan").find("must be a number") != std::string::npos);
    CHECK(find_builtin_policy("nonesuch") == nullptr);
}

TEST_CASE("lpm: the longest cached prefix goes first, but nobody waits longer than the bound") {
    Asked lpm(named("lpm"), "max_wait=10");
    auto sequences = waiting({8, 8, 8});
    sequences[1].cached_prefix_tokens = sequences[1].computed_tokens = 4;
    sequences[2].cached_prefix_tokens = sequences[2].computed_tokens = 7;
    lpm.view.now_us = 4000000;
    CHECK(lpm.decide(sequences, 100, 2, 100).rows == Rows{{2, 1}, {1, 4}});
    lpm.view.now_us = 11500000;
    CHECK(lpm.decide(sequences, 100, 2, 100).rows == Rows{{0, 8}, {2, 1}});
}

TEST_CASE("sjf: the shortest predicted job goes first") {
    Asked sjf(named("sjf"));
    // Nothing is known of output lengths: half of max_tokens each, so prompts decide.
    CHECK(sjf.decide(waiting({9, 3, 5}), 100, 2, 100).rows == Rows{{1, 3}, {2, 5}});
    // Tenant 7's outputs are short, tenant 8's are long.
    for (std::uint64_t id = 100; id < 120; ++id) {
        sjf.tell(POLICY_EVENT_ARRIVED, id, id % 2 == 0 ? 7 : 8, 5);
        sjf.tell(POLICY_EVENT_FINISHED, id, id % 2 == 0 ? 7 : 8, id % 2 == 0 ? 2 : 90);
    }
    auto sequences = waiting({4, 5, 6});
    sequences[0].tenant = 8;
    sequences[1].tenant = 7;
    sequences[2].tenant = 7;
    CHECK(sjf.decide(sequences, 100, 2, 100).rows == Rows{{1, 5}, {2, 6}});
    sjf.view.now_us = 62000000;  // the first has waited for more than a minute
    CHECK(sjf.decide(sequences, 100, 2, 100).rows == Rows{{0, 4}, {1, 5}});
}

TEST_CASE("sjf: an oracle's lengths count if it is asked for") {
    auto sequences = waiting({4, 4});
    sequences[0].oracle_tokens = 50;
    sequences[1].oracle_tokens = 5;
    CHECK(Asked(named("sjf"), "oracle=1").decide(sequences, 100, 1, 100).rows == Rows{{1, 4}});
    CHECK(Asked(named("sjf")).decide(sequences, 100, 1, 100).rows == Rows{{0, 4}});
}

TEST_CASE("sjf: the longest job left makes room, but never the one that arrived first") {
    std::vector<PolicySequence> sequences(3, sequence(POLICY_RUNNING, 4, 8, 5, 2));  // each needs a block
    for (std::uint32_t i = 0; i < 3; ++i) sequences[i].oracle_tokens = 100 - 10 * i;
    const Answer answer = Asked(named("sjf"), "oracle=1").decide(sequences, 100, 8, 0);
    CHECK(answer.victims == std::vector<std::uint32_t>{1});
    CHECK(answer.rows == Rows{{0, 1}, {2, 1}});
}

TEST_CASE("priority: the urgent preempt if that is enough, and only less urgent ones behind them") {
    Asked priority(named("priority"), "ageing=10");
    std::vector<PolicySequence> sequences(3, sequence(POLICY_RUNNING, 4, 5, 2, 2));
    sequences.push_back(sequence(POLICY_WAITING, 8, 0, 0, 0));
    sequences[0].priority = 1;
    sequences[1].priority = 5;
    sequences[2].priority = 1;
    SECTION("for a place") {
        const Answer answer = priority.decide(sequences, 100, 3, 100);
        CHECK(answer.victims == std::vector<std::uint32_t>{1});
        CHECK(answer.rows == Rows{{3, 8}, {0, 1}, {2, 1}});
    }
    SECTION("for blocks: two victims have what it needs") {
        const Answer answer = priority.decide(sequences, 100, 8, 0);
        CHECK(answer.victims == std::vector<std::uint32_t>{1, 2});
        CHECK(answer.rows == Rows{{3, 8}, {0, 1}});
    }
    SECTION("nobody loses anything for one that does not fit anyway") {
        sequences[3].prompt_tokens = 100;
        CHECK(priority.decide(sequences, 100, 8, 0).victims.empty());
    }
    SECTION("equals and more urgent ones are left alone") {
        for (auto& s : sequences) s.priority = 0;
        CHECK(priority.decide(sequences, 100, 3, 100).victims.empty());
        sequences[3].priority = 1;
        CHECK(priority.decide(sequences, 100, 3, 100).victims.empty());
    }
    SECTION("even the one that arrived first goes, for a more urgent one") {
        sequences[0].priority = 9;
        CHECK(priority.decide(sequences, 100, 3, 100).victims == std::vector<std::uint32_t>{0});
    }
    SECTION("what has waited for ten seconds a level is no longer behind") {
        sequences[1].arrival_us = 0;
        sequences[3].arrival_us = 51000000;  // five levels more urgent than 1, and 51 seconds later
        const Answer answer = priority.decide(sequences, 100, 3, 100);
        CHECK(answer.victims.empty());
    }
}

TEST_CASE("priority: among those that wait, ageing puts the old before the urgent") {
    Asked priority(named("priority"), "ageing=10");
    auto sequences = waiting({4, 4, 4});
    sequences[0].priority = 2;
    sequences[1].priority = 1;
    CHECK(priority.decide(sequences, 100, 1, 100).rows == Rows{{2, 4}});
    sequences[2].arrival_us = 30000000;
    CHECK(priority.decide(sequences, 100, 1, 100).rows == Rows{{1, 4}});
    sequences[1].arrival_us = 15000000;
    CHECK(priority.decide(sequences, 100, 1, 100).rows == Rows{{0, 4}});
}

TEST_CASE("priority: an urgent prompt goes before those that are running") {
    Asked priority(named("priority"));
    std::vector<PolicySequence> sequences = {sequence(POLICY_RUNNING, 50, 10, 0, 3),
                                             sequence(POLICY_RUNNING, 4, 5, 2, 2),
                                             sequence(POLICY_WAITING, 6, 0, 0, 0)};
    sequences[0].priority = 1;
    sequences[1].priority = 1;
    CHECK(priority.decide(sequences, 10, 8, 100).rows == Rows{{2, 6}, {0, 3}, {1, 1}});
}

// A step of n tokens takes 1 ms and 0.1 ms for each.
void set_costs(PolicyView& view) {
    view.step_cost_base_us = 1000;
    view.step_cost_per_token_us = 100;
    view.step_cost_per_context_token_us = 0;
}

TEST_CASE("slo: prompts get what a step within the tightest TPOT target leaves") {
    Asked slo(named("slo"));
    set_costs(slo.view);
    std::vector<PolicySequence> sequences = {sequence(POLICY_RUNNING, 4, 5, 2, 2),
                                             sequence(POLICY_RUNNING, 4, 5, 2, 2),
                                             sequence(POLICY_RUNNING, 90, 10, 0, 3)};
    CHECK(slo.decide(sequences, 64, 8, 100).rows == Rows{{0, 1}, {1, 1}, {2, 62}});  // no target
    sequences[1].tpot_target_us = 2000;  // 1.9 ms hold nine tokens
    CHECK(slo.decide(sequences, 64, 8, 100).rows == Rows{{0, 1}, {1, 1}, {2, 7}});
    sequences[1].tpot_target_us = 500;  // not even alone: no reason to hold up others
    CHECK(slo.decide(sequences, 64, 8, 100).rows == Rows{{0, 1}, {1, 1}, {2, 62}});
    Asked by_default(named("slo"), "tpot_ms=2");
    set_costs(by_default.view);
    sequences[1].tpot_target_us = 0;
    CHECK(by_default.decide(sequences, 64, 8, 100).rows == Rows{{0, 1}, {1, 1}, {2, 7}});
}

TEST_CASE("slo: the batch grows only as far as all keep their targets") {
    Asked slo(named("slo"), "tpot_ms=2");
    set_costs(slo.view);
    std::vector<PolicySequence> sequences(8, sequence(POLICY_RUNNING, 4, 5, 2, 2));
    for (int i = 0; i < 3; ++i) sequences.push_back(sequence(POLICY_WAITING, 1, 0, 0, 0));
    CHECK(slo.decide(sequences, 64, 64, 100).rows.size() == 9);  // nine decode in 1.9 ms, ten do not
}

TEST_CASE("slo: the first token that is due first goes first, and those too late behind") {
    Asked slo(named("slo"));
    set_costs(slo.view);
    auto sequences = waiting({4, 4, 4});  // arrived at 1, 2 and 3 s
    sequences[0].ttft_target_us = 9000000;
    sequences[1].ttft_target_us = 2000000;
    sequences[2].ttft_target_us = 4000000;
    slo.view.now_us = 3500000;
    CHECK(slo.decide(sequences, 64, 1, 100).rows == Rows{{1, 4}});
    slo.view.now_us = 4500000;  // too late for 1
    CHECK(slo.decide(sequences, 64, 2, 100).rows == Rows{{2, 4}, {0, 4}});
    slo.view.now_us = 70000000;  // a minute is enough
    CHECK(slo.decide(sequences, 64, 1, 100).rows == Rows{{0, 4}});
}

TEST_CASE("slo: what cannot make it is refused, if asked for") {
    auto sequences = waiting({40, 40, 40});
    sequences[0].ttft_target_us = 1000;
    sequences[1].ttft_target_us = 5500000;
    sequences[2].state = POLICY_PREEMPTED;
    sequences[2].ttft_target_us = 1000;
    Asked slo(named("slo"), "shed=1"), patient(named("slo"));
    for (Asked* policy : {&slo, &patient}) {
        set_costs(policy->view);
        policy->view.now_us = 3010000;
    }
    CHECK(patient.decide(sequences, 64, 8, 100).shed.empty());
    const Answer answer = slo.decide(sequences, 64, 1, 100);
    CHECK(answer.shed == std::vector<std::uint32_t>{0});
    CHECK(answer.rows == Rows{{1, 40}});
    slo.view.now_us = 7496000;  // 40 tokens take 5 ms
    CHECK(slo.decide(sequences, 64, 1, 100).shed == std::vector<std::uint32_t>{0, 1});
    slo.view.step_cost_base_us = slo.view.step_cost_per_token_us = 0;  // nothing is known yet
    CHECK(slo.decide(sequences, 64, 1, 100).shed.empty());
}

TEST_CASE("static: a batch is filled, read, then decoded to its end, and only then comes the next") {
    Asked policy(named("static"), "batch_size=2");
    auto sequences = waiting({6, 6, 6});
    CHECK(policy.decide(sequences, 8, 8, 100).rows == Rows{{0, 6}, {1, 2}});
    sequences[0] = sequence(POLICY_RUNNING, 6, 6, 1, 2);
    sequences[1] = sequence(POLICY_RUNNING, 6, 2, 0, 1);
    for (std::uint32_t i = 0; i < 3; ++i) sequences[i].id = i + 1;
    CHECK(policy.decide(sequences, 8, 8, 100).rows == Rows{{1, 4}});  // nobody decodes before all are read
    sequences[1] = sequence(POLICY_RUNNING, 6, 6, 1, 2);
    sequences[1].id = 2;
    CHECK(policy.decide(sequences, 8, 8, 100).rows == Rows{{0, 1}, {1, 1}});
    sequences.erase(sequences.begin());
    policy.tell(POLICY_EVENT_FINISHED, 1, 0, 5);
    CHECK(policy.decide(sequences, 8, 8, 100).rows == Rows{{0, 1}});  // its place stays empty
    sequences.erase(sequences.begin());
    policy.tell(POLICY_EVENT_FINISHED, 2, 0, 5);
    CHECK(policy.decide(sequences, 8, 8, 100).rows == Rows{{0, 6}});
}

TEST_CASE("static: all that a batch may need is kept for it") {
    Asked policy(named("static"));
    auto sequences = waiting({6, 6, 6});  // 26 blocks each with max_tokens 99
    for (auto& s : sequences) s.max_tokens = 99;
    CHECK(policy.decide(sequences, 100, 8, 60).rows == Rows{{0, 6}, {1, 6}});
}

}  // namespace
}  // namespace troupe::test
