// Sequences whose prompts begin alike: who computes that, who waits for it and takes it, and what happens
// when those who have it end or lose it. That tokens stay those of a run alone is tested in
// scheduler_random_test.cpp.
#include <utility>

#include "engine/scheduler.hpp"
#include "policies/fcfs.hpp"
#include "tests/catch.hpp"

namespace troupe {
namespace {

SequenceSpec choice(SequenceId id, std::uint32_t prompt, std::uint32_t max_tokens = 10) {
    SequenceSpec spec;
    spec.id = id;
    spec.arrival = 1;
    for (std::uint32_t i = 0; i < prompt; ++i) spec.tokens.push_back(static_cast<TokenId>(i));
    spec.num_prompt_tokens = prompt;
    spec.sampling.choice = static_cast<std::uint32_t>(id);
    spec.stop.max_tokens = max_tokens;
    return spec;
}

struct Bench {
    explicit Bench(std::uint32_t steps_in_flight = 2, std::uint32_t num_blocks = 32)
        : scheduler({.max_num_batched_tokens = 8,
                     .max_num_seqs = 8,
                     .max_model_len = 64,
                     .block_size = 4,
                     .num_blocks = num_blocks,
                     .max_steps_in_flight = steps_in_flight,
                     .end_token_ids = {},
                     .first_step = 1},
                    policy) {}

    void send(const Event& event) {
        for (const Action& action : scheduler.handle(event)) {
            if (const auto* execute = std::get_if<Execute>(&action)) plans.push_back(execute->plan);
        }
        scheduler.check_invariants();
    }
    void ready() { send(WorkerReady{++now, ++epoch}); }
    void lose() {
        answered = plans.size();
        send(WorkerLost{++now, epoch});
    }
    void complete() {
        const StepPlan& plan = plans.at(answered++);
        StepResult result;
        result.epoch = plan.epoch;
        result.step = plan.step;
        for (const PlanRow& row : plan.rows) {
            if (row.kind == RowKind::sample) result.sampled.push_back({row.id, {5}});
        }
        send(StepCompleted{++now, result});
    }
    void complete_all() {
        while (answered < plans.size()) complete();
    }
    std::uint32_t tokens_of(SequenceId id) const {  // of its rows in all plans
        std::uint32_t tokens = 0;
        for (const StepPlan& plan : plans) {
            for (const PlanRow& row : plan.rows) tokens += row.id == id ? row.num_new_tokens : 0;
        }
        return tokens;
    }
    const AddedSequence* added(SequenceId id) const {  // the last time
        const AddedSequence* found = nullptr;
        for (const StepPlan& plan : plans) {
            for (const AddedSequence& one : plan.added) found = one.id == id ? &one : found;
        }
        return found;
    }

    TablePolicyPort policy{fcfs_policy()};
    Scheduler scheduler;
    std::vector<StepPlan> plans;
    std::size_t answered = 0;
    TimeUs now = 10;
    Epoch epoch = 0;
};

TEST_CASE("the choices of a request compute its prompt once and share its blocks") {
    const auto steps = GENERATE(1U, 2U);
    Bench bench(steps);
    bench.ready();
    for (const SequenceId id : {1U, 2U, 3U}) bench.send(RequestArrived{++bench.now, choice(id, 22, 4)});
    while (bench.added(3) == nullptr) bench.complete();
    const std::vector<BlockId> blocks = bench.scheduler.block_table(1);
    for (const SequenceId id : {2U, 3U}) {
        const AddedSequence& added = *bench.added(id);
        CHECK(added.num_computed_tokens == 21);
        CHECK(std::equal(added.block_table.begin(), added.block_table.begin() + 5, blocks.begin()));
        CHECK(added.block_table[5] != blocks[5]);
    }
    CHECK(bench.plans.back().copies.size() == 2);  // the last block, 21 tokens into the prompt
    bench.complete_all();
    CHECK(bench.tokens_of(1) == 25);
    CHECK(bench.tokens_of(2) == 4);
    CHECK(bench.tokens_of(3) == 4);
    CHECK(bench.scheduler.stats().free_blocks == 32);
}

TEST_CASE("what one computed, a later one takes, even when the first has ended") {
    Bench bench;
    bench.ready();
    bench.send(RequestArrived{++bench.now, choice(1, 22, 4)});
    bench.complete_all();
    CHECK(bench.scheduler.stats().free_blocks == 32);
    CHECK(bench.scheduler.stats().cached_blocks == 6);  // 22 and three generated, the last of which has no KV
    SequenceSpec later = choice(2, 22, 4);
    later.tokens.insert(later.tokens.end(), {5, 5, 5, 5, 70, 71});  // the answer, and the next question
    later.num_prompt_tokens = 28;
    bench.send(RequestArrived{++bench.now, later});
    CHECK(bench.added(2)->num_computed_tokens == 24);
    bench.complete_all();
    bench.send(RequestArrived{++bench.now, choice(3, 22, 4)});
    CHECK(bench.added(3)->num_computed_tokens == 20);
    bench.complete_all();
    CHECK(bench.scheduler.stats().num_prefix_queries == 22 + 28 + 22);
    CHECK(bench.scheduler.stats().num_prefix_hits == 24 + 20);
}

TEST_CASE("sequences with different salts share nothing, and do not wait for each other") {
    Bench bench;
    bench.ready();
    for (const SequenceId id : {1U, 2U, 3U}) {
        SequenceSpec spec = choice(id, 3, 4);
        spec.cache_salt = id == 3 ? "a" : std::string(id, 'a');
        bench.send(RequestArrived{++bench.now, spec});
    }
    bench.complete_all();
    CHECK(bench.added(2)->num_computed_tokens == 0);
    CHECK(bench.tokens_of(2) == 6);
    CHECK(bench.added(3)->num_computed_tokens == 2);  // the first one's
}

TEST_CASE("arrivals at once with one beginning compute that once") {
    Bench bench;
    for (const SequenceId id : {1U, 2U, 3U, 4U}) {
        SequenceSpec spec = choice(id, 14, 2);
        spec.tokens[12] = static_cast<TokenId>(100 + id);  // three blocks are the same
        bench.send(RequestArrived{++bench.now, spec});
    }
    bench.ready();
    bench.complete_all();
    CHECK(bench.tokens_of(1) == 15);
    for (const SequenceId id : {2U, 3U, 4U}) CHECK(bench.tokens_of(id) == 3);
    CHECK(bench.plans.at(0).rows.size() == 1);
}

TEST_CASE("the more urgent does not wait for what a less urgent one computes") {
    Bench bench;
    bench.ready();
    SequenceSpec slow = choice(1, 30, 2);
    slow.priority = 1;
    bench.send(RequestArrived{++bench.now, slow});
    bench.send(RequestArrived{++bench.now, choice(2, 12, 2)});
    while (bench.added(2) == nullptr) bench.complete();
    CHECK(bench.added(2)->num_computed_tokens < 11);
    bench.complete_all();
}

TEST_CASE("what is not the same is not waited for") {
    Bench bench;
    for (const SequenceId id : {1U, 2U}) {
        SequenceSpec spec = choice(id, 4, 2);
        spec.tokens[id] = 99;
        bench.send(RequestArrived{++bench.now, spec});
    }
    bench.ready();
    CHECK(bench.plans.at(0).rows.size() == 2);
}

TEST_CASE("a preempted sequence takes its own blocks back") {
    Bench bench(1, 9);
    bench.ready();
    bench.send(RequestArrived{++bench.now, choice(1, 13, 20)});
    SequenceSpec other = choice(2, 14, 6);
    other.arrival = 2;
    other.tokens[0] = 99;
    bench.send(RequestArrived{++bench.now, other});
    while (bench.scheduler.stats().num_preemptions == 0) bench.complete();
    const std::uint32_t before = bench.tokens_of(2);
    bench.complete_all();
    CHECK(bench.added(2)->num_computed_tokens > 0);
    CHECK(bench.tokens_of(2) == before + 19 - bench.added(2)->num_computed_tokens);
}

TEST_CASE("a choice goes on when the one that computed the prompt ends, is cancelled or lost") {
    Bench bench;
    bench.ready();
    for (const SequenceId id : {1U, 2U, 3U}) bench.send(RequestArrived{++bench.now, choice(id, 22, 20)});
    SECTION("before it was ready: the next one computes it") {
        bench.send(RequestCancelled{++bench.now, 1});
        bench.complete_all();
        CHECK(bench.tokens_of(2) == 22 + 19);
        CHECK(bench.tokens_of(3) == 20);
    }
    SECTION("afterwards: they keep what they share") {
        while (bench.added(3) == nullptr) bench.complete();
        bench.send(RequestCancelled{++bench.now, 1});
        bench.complete_all();
        CHECK(bench.tokens_of(2) == 20);
        CHECK(bench.tokens_of(3) == 20);
    }
    SECTION("with the worker: one computes it again, and all share it again") {
        while (bench.added(3) == nullptr) bench.complete();
        bench.complete();
        const std::uint32_t before = bench.tokens_of(3);
        bench.lose();
        bench.ready();
        bench.complete_all();
        CHECK(bench.added(3)->num_computed_tokens == 21);
        CHECK(bench.tokens_of(3) - before <= 20);
    }
    CHECK(bench.scheduler.stats().free_blocks == 32);
    CHECK(bench.scheduler.stats().num_running == 0);
}

TEST_CASE("a prompt of one token is not shared, and of another's prompt only what is the same") {
    Bench bench;
    bench.ready();
    bench.send(RequestArrived{++bench.now, choice(1, 1, 4)});
    bench.send(RequestArrived{++bench.now, choice(2, 1, 4)});
    SequenceSpec other = choice(3, 9, 4);
    other.tokens[2] = 55;
    bench.send(RequestArrived{++bench.now, other});
    bench.complete();
    bench.complete_all();
    CHECK(bench.added(2)->num_computed_tokens == 0);
    CHECK(bench.added(3)->num_computed_tokens == 1);  // copied from the first one's only block
    CHECK(bench.tokens_of(3) == 11);
    SequenceSpec longer = choice(4, 12, 4);
    longer.tokens[2] = 55;
    longer.tokens[7] = 55;
    bench.send(RequestArrived{++bench.now, longer});
    CHECK(bench.added(4)->num_computed_tokens == 4);
    bench.complete_all();
}

TEST_CASE("a choice that needs its prompt's logits computes it itself") {
    Bench bench;
    bench.ready();
    for (const SequenceId id : {1U, 2U}) {
        SequenceSpec spec = choice(id, 22, 4);
        spec.sampling.prompt_logprobs = 0;
        bench.send(RequestArrived{++bench.now, spec});
    }
    bench.complete_all();
    CHECK(bench.tokens_of(1) == 25);
    CHECK(bench.tokens_of(2) == 25);
}

TEST_CASE("a choice that needs its prompt's logits gives its KV to the others") {
    Bench bench;
    bench.ready();
    for (const SequenceId id : {1U, 2U, 3U}) {
        SequenceSpec spec = choice(id, 22, 4);
        if (id == 1) spec.sampling.prompt_logprobs = 0;
        bench.send(RequestArrived{++bench.now, spec});
    }
    bench.complete_all();
    CHECK(bench.tokens_of(1) == 25);
    CHECK(bench.tokens_of(2) == 4);
    CHECK(bench.tokens_of(3) == 4);
}

TEST_CASE("choices whose prompt fills most of the pool run at the same time") {
    Bench bench(2, 12);  // six for the prompt, and one and a bit for each of three
    bench.ready();
    for (const SequenceId id : {1U, 2U, 3U}) bench.send(RequestArrived{++bench.now, choice(id, 23, 4)});
    while (bench.added(3) == nullptr) bench.complete();
    CHECK(bench.scheduler.stats().num_running == 3);
    bench.complete_all();
    CHECK(bench.scheduler.stats().num_preemptions == 0);
}

TEST_CASE("thousands of equal prompts are looked up over several steps, and each takes all there is") {
    constexpr std::uint32_t prompt = 61, blocks = 15, places = 8;
    Bench bench(1);
    for (SequenceId id = 1; id <= 10000; ++id)
        (void)bench.scheduler.handle(RequestArrived{++bench.now, choice(id, prompt, 2)});
    std::uint64_t before = 0, most = 0;
    const auto note = [&] {
        const std::uint64_t now = bench.scheduler.num_looked_up();
        most = std::max(most, now - std::exchange(before, now));
    };
    bench.ready();
    note();
    for (int step = 0; step < 40; ++step) {
        bench.complete();
        note();
    }
    CHECK(most > 64 * places);  // all would be 10,000 and more, whenever a block is remembered
    CHECK(most <= 64 * places + (places + 1) * (blocks + 1));
    const SchedulerStats stats = bench.scheduler.stats();
    const std::uint64_t admitted = stats.num_prefix_queries / prompt;
    CHECK(admitted > 50);
    CHECK(stats.num_prefix_hits == (admitted - 1) * (prompt - 1));
}

}  // namespace
}  // namespace troupe
