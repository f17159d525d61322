// How decisions of a policy are carried out: blocks, re-admission, fallback, events.
#include <functional>

#include "engine/scheduler.hpp"
#include "tests/catch.hpp"

namespace troupe {
namespace {

// Answers what the test says, and notes what it is told.
struct ScriptedPolicy final : PolicyPort {
    std::function<PolicyOutcome(const PolicyView&)> answer = [](const PolicyView&) { return Decision{}; };
    std::vector<PolicySequence> seen;
    std::vector<std::uint32_t> events;
    PolicyEvent last{};

    PolicyOutcome decide(const PolicyView& view) override {
        seen.assign(view.sequences, view.sequences + view.num_sequences);
        return answer(view);
    }
    void on_event(const PolicyEvent& event) override {
        events.push_back(event.kind);
        last = event;
    }
};

// Ten blocks of four tokens.
struct Bench {
    explicit Bench(std::uint32_t steps_in_flight = 1) : scheduler(options(steps_in_flight), policy) {
        send(WorkerReady{1, 1});
    }

    static SchedulerOptions options(std::uint32_t steps_in_flight) {
        SchedulerOptions options;
        options.block_size = 4;
        options.num_blocks = 10;
        options.max_num_batched_tokens = 100;
        options.max_steps_in_flight = steps_in_flight;
        return options;
    }
    void send(const Event& event) {
        for (const Action& action : scheduler.handle(event)) {
            if (const auto* execute = std::get_if<Execute>(&action)) plan = execute->plan;
            if (const auto* finish = std::get_if<Finish>(&action)) finished.push_back(*finish);
        }
        scheduler.check_invariants();
    }
    void arrive(SequenceId id, std::uint32_t prompt) {
        arrive(id, prompt, static_cast<TokenId>(id));  // nothing to share
    }
    void arrive(SequenceId id, std::uint32_t prompt, TokenId token) {
        SequenceSpec spec;
        spec.id = id;
        spec.arrival = static_cast<TimeUs>(id);
        spec.tokens.assign(prompt, token);
        spec.num_prompt_tokens = prompt;
        send(RequestArrived{10, spec});
    }
    // The step in flight ends, and the next one is what `next` says.
    std::vector<PlanRow> step(Decision next) {
        policy.answer = [next = std::move(next)](const PolicyView&) { return next; };
        StepResult result{1, plan.step, {}, {}, 50, 0};
        for (const PlanRow& row : plan.rows) {
            if (row.kind == RowKind::sample) result.sampled.push_back({row.id, {5}});
        }
        plan = {};
        send(StepCompleted{20, result});
        return plan.rows;
    }

    ScriptedPolicy policy;
    Scheduler scheduler;
    StepPlan plan;
    std::vector<Finish> finished;
};

using Rows = std::vector<PlanRow>;

TEST_CASE("blocks that a row was short of are kept for it") {
    Bench bench;
    bench.arrive(1, 24);  // six blocks, by FCFS: the script runs nothing
    bench.arrive(2, 20);
    bench.arrive(3, 4);
    // Five of four free blocks: out. One block for 3: out too, they are kept for 2. 1 needs a block as well.
    CHECK(bench.step({{{1, 20}, {2, 4}}, {}}) == Rows{{1, 1, RowKind::sample}});  // nothing fits: FCFS
    CHECK(bench.scheduler.stats().num_rejected_decisions == 2);
    CHECK(bench.step({{{1, 20}, {0, 1}, {2, 4}}, {}}) == Rows{{1, 1, RowKind::sample}});  // 1 needs no block
    CHECK(bench.step({{{2, 4}, {1, 20}}, {}}) == Rows{{3, 4, RowKind::sample}});
}

TEST_CASE("a preempted sequence runs again only when its whole recompute and one block fit") {
    Bench bench;
    bench.arrive(1, 12);
    bench.arrive(2, 14);
    CHECK(bench.step({{{0, 1}, {1, 14}}, {}}).size() == 2);
    CHECK(bench.step({{{0, 1}}, {1}}) == Rows{{1, 1, RowKind::sample}});
    CHECK(bench.policy.seen.at(1).preemptions == 0);
    bench.arrive(3, 12);
    // Four blocks are 1's, three are to be 3's: 2 needs four and one, three of them with the KV it had.
    CHECK(bench.step({{{0, 1}, {2, 12}}, {}}).size() == 2);
    CHECK(bench.policy.seen.at(1).state == POLICY_PREEMPTED);
    CHECK(bench.policy.seen.at(1).preemptions == 1);
    CHECK(bench.policy.seen.at(1).generated_tokens == 1);
    CHECK(bench.policy.seen.at(1).cached_prefix_tokens == 12);
    CHECK(bench.policy.seen.at(1).computed_tokens == 12);
    CHECK(bench.policy.seen.at(1).cached_free_blocks == 3);
    CHECK(bench.step({{{1, 2}, {0, 1}}, {}}) == Rows{{1, 1, RowKind::sample}});
    bench.send(RequestCancelled{30, 3});
    CHECK(bench.step({{{1, 2}}, {}}) == Rows{{2, 2, RowKind::chunk}});
    CHECK(bench.plan.added.at(0).tokens.size() == 15);
    CHECK(bench.plan.added.at(0).num_computed_tokens == 12);
}

TEST_CASE("FCFS decides when the policy does not or must not, and it is counted") {
    Bench bench;
    bench.policy.answer = [](const PolicyView&) { return Rejected{"too late"}; };
    bench.arrive(1, 3);
    CHECK(bench.plan.rows == Rows{{1, 3, RowKind::sample}});
    CHECK(bench.scheduler.last_rejection() == "too late");
    CHECK(bench.step({{{0, 2}}, {}}) == Rows{{1, 1, RowKind::sample}});
    CHECK(bench.scheduler.stats().num_rejected_decisions == 2);
    CHECK(bench.scheduler.last_rejection() == "sequence 1 is given more tokens than it has to compute");
}

TEST_CASE("the policy is told what happens") {
    Bench bench;
    bench.arrive(1, 3);
    bench.arrive(2, 3);
    bench.step({{{0, 1}, {1, 3}}, {}});
    bench.step({{{0, 1}}, {1}});
    bench.send(RequestCancelled{30, 1});
    bench.send(WorkerLost{40, 1});
    CHECK(bench.policy.events == std::vector<std::uint32_t>{POLICY_EVENT_WORKER_READY, POLICY_EVENT_ARRIVED,
                                                            POLICY_EVENT_ARRIVED, POLICY_EVENT_STEP_COMPLETED,
                                                            POLICY_EVENT_STEP_COMPLETED,
                                                            POLICY_EVENT_PREEMPTED, POLICY_EVENT_FINISHED,
                                                            POLICY_EVENT_WORKER_LOST});
}

TEST_CASE("a policy that takes over is told of every live sequence, and all go on") {
    Bench bench;
    bench.arrive(1, 3);
    bench.step({{{0, 1}}, {}});
    bench.arrive(2, 3);
    bench.policy.events.clear();
    bench.send(PolicyReplaced{25});
    CHECK(bench.policy.events == std::vector<std::uint32_t>{POLICY_EVENT_LIVE, POLICY_EVENT_LIVE});
    CHECK(bench.policy.last.sequence == 2);
    CHECK(bench.policy.last.now_us == 25);
    CHECK(bench.step({{{0, 1}, {1, 3}}, {}}).size() == 2);
    bench.send(PolicyReplaced{30});
    CHECK(bench.policy.last.value == 0);
    bench.send(RequestCancelled{40, 1});
    CHECK(bench.policy.last.kind == POLICY_EVENT_FINISHED);
    CHECK(bench.policy.last.value == 2);  // generated
}

TEST_CASE("what the policy sheds ends with an error, and the rest is carried out") {
    Bench bench;
    bench.arrive(1, 3);
    bench.arrive(2, 3);
    bench.arrive(3, 3);
    CHECK(bench.step({{{0, 1}, {2, 3}}, {}, {}, {1}}).size() == 2);
    REQUIRE(bench.finished.size() == 1);
    CHECK(bench.finished[0].sequence == 2);
    CHECK(bench.finished[0].reason == FinishReason::failed);
    CHECK(bench.finished[0].error.value().tag == "slo_unreachable");
    CHECK(bench.finished[0].error.value().code == ErrorCode::resource_exhausted);
    CHECK(bench.scheduler.find(2) == nullptr);
    CHECK(bench.scheduler.stats().num_shed_sequences == 1);
    CHECK(bench.scheduler.stats().num_rejected_decisions == 1);  // that of the first step, by the script
}

TEST_CASE("a step that sheds all there is left plans nothing, and that is no fault") {
    Bench bench;
    bench.policy.answer = [](const PolicyView&) { return Decision{{}, {}, {}, {0}}; };
    bench.arrive(1, 3);
    CHECK(bench.finished.size() == 1);
    CHECK(bench.plan.rows.empty());
    CHECK(bench.scheduler.stats().num_rejected_decisions == 0);
}

TEST_CASE("the view says what each sequence will be once the steps in flight are done") {
    Bench bench;
    bench.arrive(1, 6);
    bench.step({{{0, 1}}, {}});
    CHECK(bench.policy.seen.at(0).computed_tokens == 6);
    CHECK(bench.policy.seen.at(0).generated_tokens == 1);
    CHECK(bench.policy.seen.at(0).blocks_held == 2);
    CHECK(bench.policy.seen.at(0).max_tokens == 16);
    CHECK(bench.policy.seen.at(0).first_token_us == 20);
    CHECK(bench.policy.seen.at(0).last_token_us == 20);
    CHECK(bench.scheduler.stats().step_cost.base_us + bench.scheduler.stats().step_cost.per_token_us > 0);
}

TEST_CASE("blocks_held are those that a sequence's preemption frees, without those that it shares") {
    Bench bench;
    bench.arrive(1, 11, 7);
    bench.step({});  // FCFS decides
    bench.arrive(2, 11, 7);
    bench.step({});
    bench.step({});
    REQUIRE(bench.policy.seen.size() == 2);
    CHECK(bench.policy.seen[0].computed_tokens == 13);
    CHECK(bench.policy.seen[0].blocks_held == 2);  // of four
    CHECK(bench.policy.seen[1].computed_tokens == 11);
    CHECK(bench.policy.seen[1].blocks_held == 1);  // of three
    const std::uint32_t before = bench.scheduler.stats().free_blocks;
    bench.step({{{0, 1}}, {1}});
    CHECK(bench.scheduler.stats().num_preemptions == 1);
    CHECK(bench.scheduler.stats().free_blocks == before + bench.policy.seen[1].blocks_held);
    CHECK(bench.policy.seen[0].blocks_held == 2);
    bench.step({{{0, 1}}, {}});
    CHECK(bench.policy.seen[0].blocks_held == 4);  // it has them for itself again
}

TEST_CASE("blocks that a step in flight still holds count as free for the policy, but are not given out") {
    Bench bench(2);
    bench.arrive(1, 20);
    bench.send(RequestCancelled{30, 1});
    CHECK(bench.scheduler.stats().free_blocks == 5);
    std::uint32_t free_in_view = 0;
    bench.policy.answer = [&](const PolicyView& view) {
        free_in_view = view.free_blocks;
        return Decision{{{0, 24}}, {}};
    };
    bench.plan.rows.clear();
    bench.arrive(2, 24);  // needs six
    CHECK(free_in_view == 10);
    CHECK(bench.plan.rows.empty());
    CHECK(bench.scheduler.stats().num_rejected_decisions == 1);  // that of the first step, by the script
}

}  // namespace
}  // namespace troupe
