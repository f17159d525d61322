#include "policies/fcfs.hpp"

#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "tests/catch.hpp"
#include "tests/policies/asked.hpp"

namespace troupe {
namespace {

using test::Answer;
using test::Asked;
using test::Rows;
using test::sequence;

Answer ask(const std::vector<PolicySequence>& sequences, std::uint32_t budget, std::uint32_t max_sequences,
           std::uint32_t free_blocks) {
    return test::Asked(fcfs_policy()).decide(sequences, budget, max_sequences, free_blocks);
}

TEST_CASE("the flat types have no hidden padding") {
    CHECK(sizeof(PolicySequence) == 8 * 8 + 12 * 4);
    CHECK(sizeof(PolicyEvent) == 2 * 4 + 4 * 8);
    CHECK(sizeof(PolicyView) == 2 * 4 + sizeof(void*) + 2 * 4 + 8 + 6 * 4 + 4 * 8);
}

TEST_CASE(
    "of those that wait the more urgent go first, equals as they came, and nobody is preempted for them") {
    std::vector<PolicySequence> sequences(5, sequence(POLICY_WAITING, 4, 0, 0, 0));
    sequences[0] = sequence(POLICY_RUNNING, 4, 5, 2, 2);
    sequences[1].priority = 100;
    sequences[3].priority = -100;
    const auto one = ask(sequences, 100, 2, 100);
    CHECK(one.rows == Rows{{0, 1}, {3, 4}});
    CHECK(one.victims.empty());
    CHECK(ask(sequences, 100, 4, 100).rows == Rows{{0, 1}, {3, 4}, {2, 4}, {4, 4}});
}

TEST_CASE("who has waited for long goes before the more urgent") {
    Asked fcfs(fcfs_policy(), "max_wait=30");
    std::vector<PolicySequence> sequences(3, sequence(POLICY_WAITING, 4, 0, 0, 0));
    sequences[1].priority = sequences[2].priority = std::numeric_limits<std::int32_t>::min();
    sequences[1].arrival_us = sequences[2].arrival_us = 20'000'000;
    fcfs.view.now_us = 30'000'000;
    CHECK(fcfs.decide(sequences, 100, 2, 100).rows == Rows{{1, 4}, {2, 4}});
    fcfs.view.now_us = 30'000'001;
    CHECK(fcfs.decide(sequences, 100, 2, 100).rows == Rows{{0, 4}, {1, 4}});
}

TEST_CASE("decoding goes before prefill, prefill takes what is left of the budget") {
    const auto answer = ask({sequence(POLICY_RUNNING, 50, 10, 0, 3), sequence(POLICY_RUNNING, 4, 5, 2, 2),
                             sequence(POLICY_WAITING, 20, 0, 0, 0)},
                            8, 4, 100);
    CHECK(answer.rows == Rows{{0, 7}, {1, 1}});
    CHECK(answer.victims.empty());
}

TEST_CASE("waiting sequences follow in order while budget, places and blocks last") {
    const auto waiting = sequence(POLICY_WAITING, 8, 0, 0, 0);
    CHECK(ask({waiting, waiting, waiting}, 20, 8, 100).rows == Rows{{0, 8}, {1, 8}, {2, 4}});
    CHECK(ask({waiting, waiting, waiting}, 20, 2, 100).rows == Rows{{0, 8}, {1, 8}});
    // Two blocks and one to grow into each: six are enough for two of them only.
    CHECK(ask({waiting, waiting, waiting}, 100, 8, 6).rows == Rows{{0, 8}, {1, 8}});
    // The first does not fit: those behind it wait, even where they would.
    CHECK(ask({sequence(POLICY_WAITING, 40, 0, 0, 0), waiting}, 100, 8, 6).rows.empty());
}

TEST_CASE("a prompt that is admitted in part keeps its blocks promised") {
    const auto waiting = sequence(POLICY_WAITING, 20, 0, 0, 0);
    // The first takes one block now and four later: eight free ones are not enough for a second.
    CHECK(ask({waiting, waiting}, 4, 8, 8).rows == Rows{{0, 4}});
    CHECK(ask({sequence(POLICY_RUNNING, 20, 4, 0, 1), waiting}, 8, 8, 7).rows == Rows{{0, 8}});
}

TEST_CASE("the last arrived is preempted when blocks run out, and then none is admitted") {
    const auto decoding = sequence(POLICY_RUNNING, 4, 8, 5, 2);  // needs a third block
    const auto answer = ask({decoding, decoding, decoding, sequence(POLICY_WAITING, 1, 0, 0, 0)}, 100, 8, 0);
    CHECK(answer.victims == std::vector<std::uint32_t>{2});
    CHECK(answer.rows == Rows{{0, 1}, {1, 1}});
}

TEST_CASE("nothing is given to a sequence about to end, and it preempts nobody") {
    auto ending = sequence(POLICY_RUNNING, 4, 8, 5, 2);
    ending.max_tokens = 5;
    const auto answer = ask({ending, sequence(POLICY_RUNNING, 4, 6, 3, 2)}, 100, 8, 0);
    CHECK(answer.rows == Rows{{1, 1}});
    CHECK(answer.victims.empty());
}

TEST_CASE("the oldest gets on even when decoding takes the whole budget") {
    const auto answer =
        ask({sequence(POLICY_RUNNING, 9, 4, 0, 1), sequence(POLICY_RUNNING, 4, 8, 5, 2)}, 1, 2, 1);
    CHECK(answer.rows == Rows{{0, 1}});
}

}  // namespace
}  // namespace troupe
