// The Scheduler event by event: what single situations must lead to. Random operations are in
// scheduler_random_test.cpp.
#include "engine/scheduler.hpp"

#include "policies/fcfs.hpp"
#include "tests/catch.hpp"

namespace troupe {
namespace {

SequenceSpec spec_of(SequenceId id, std::uint32_t prompt, std::uint32_t max_tokens = 10) {
    SequenceSpec spec;
    spec.id = id;
    spec.arrival = static_cast<TimeUs>(id);
    spec.tokens.assign(prompt, static_cast<TokenId>(id));  // nothing to share
    spec.num_prompt_tokens = prompt;
    spec.stop.max_tokens = max_tokens;
    return spec;
}

SchedulerOptions small() {
    SchedulerOptions options;
    options.max_num_batched_tokens = 8;
    options.max_num_seqs = 4;
    options.max_model_len = 40;
    options.block_size = 4;
    options.num_blocks = 16;
    options.end_token_ids = {99};
    return options;
}

// A scheduler whose worker answers every sample row with the token that the test says.
struct Bench {
    explicit Bench(SchedulerOptions options = small()) : scheduler(options, policy) {}

    std::vector<Action> send(const Event& event) {
        auto actions = scheduler.handle(event);
        for (const Action& action : actions) {
            if (const auto* execute = std::get_if<Execute>(&action)) plans.push_back(execute->plan);
        }
        scheduler.check_invariants();
        return actions;
    }
    std::vector<Action> complete(TokenId token) {
        const StepPlan plan = plans.at(answered++);
        StepResult result;
        result.epoch = plan.epoch;
        result.step = plan.step;
        for (const PlanRow& row : plan.rows) {
            result.compute_us += 1000 * row.num_new_tokens;
            if (row.kind == RowKind::sample) result.sampled.push_back({row.id, {token}});
        }
        return send(StepCompleted{++now, result});
    }
    std::vector<Action> lose() {
        answered = plans.size();
        return send(WorkerLost{++now, epoch});
    }
    std::vector<Action> ready() { return send(WorkerReady{++now, ++epoch}); }
    std::size_t unanswered() const { return plans.size() - answered; }

    TablePolicyPort policy{fcfs_policy()};
    Scheduler scheduler;
    std::vector<StepPlan> plans;
    std::size_t answered = 0;
    Epoch epoch = 0;
    TimeUs now = 100;
};

template <class T>
std::vector<T> all(const std::vector<Action>& actions) {
    std::vector<T> found;
    for (const Action& action : actions) {
        if (const auto* match = std::get_if<T>(&action)) found.push_back(*match);
    }
    return found;
}

using Rows = std::vector<PlanRow>;

TEST_CASE("a prompt is computed in chunks, then a step is planned ahead with the token still to come") {
    Bench bench;
    CHECK(bench.send(RequestArrived{1, spec_of(7, 10)}).empty());  // no worker yet
    bench.ready();
    REQUIRE(bench.plans.size() == 2);
    CHECK(bench.plans[0].rows == Rows{{7, 8, RowKind::chunk}});
    CHECK(bench.plans[0].added.size() == 1);
    CHECK(bench.plans[0].added[0].block_table.size() == 2);
    CHECK(bench.plans[1].rows == Rows{{7, 2, RowKind::sample}});
    CHECK(bench.plans[1].grown == std::vector<GrownSequence>{{7, {2}, 0}});
    auto actions = bench.complete(0);
    CHECK(all<EmitToken>(actions).empty());
    CHECK(bench.plans[2].rows == Rows{{7, 1, RowKind::sample}});  // its input is not known yet
    actions = bench.complete(5);
    REQUIRE(actions.size() == 2);
    CHECK(std::holds_alternative<Execute>(actions[0]));  // before the token
    CHECK(std::get<EmitToken>(actions[1]) == EmitToken{7, 1, 0, {5}});
}

TEST_CASE("max_tokens is known ahead: no row is planned beyond it") {
    Bench bench;
    bench.ready();
    bench.send(RequestArrived{1, spec_of(7, 3, 2)});
    CHECK(bench.unanswered() == 2);
    CHECK(all<Finish>(bench.complete(5)).empty());
    CHECK(bench.unanswered() == 1);
    const auto finished = all<Finish>(bench.complete(5));
    CHECK(finished == std::vector<Finish>{{7, FinishReason::length, 2, std::nullopt}});
    CHECK(bench.unanswered() == 0);
}

TEST_CASE("the context's end is a length end, too") {
    SchedulerOptions options = small();
    options.max_model_len = 5;
    Bench bench(options);
    bench.ready();
    bench.send(RequestArrived{1, spec_of(7, 3, 10)});
    bench.complete(5);
    CHECK(all<Finish>(bench.complete(5)) == std::vector<Finish>{{7, FinishReason::length, 2, std::nullopt}});
}

TEST_CASE("an end token ends; the row that overshot it is dropped") {
    Bench bench;
    bench.ready();
    bench.send(RequestArrived{1, spec_of(7, 3)});
    auto actions = bench.complete(99);
    CHECK(all<EmitToken>(actions).size() == 1);
    CHECK(all<Finish>(actions) == std::vector<Finish>{{7, FinishReason::stop, 1, std::nullopt}});
    CHECK(bench.unanswered() == 1);
    CHECK(bench.complete(6).empty());
    CHECK(bench.scheduler.stats().free_blocks == 16);
}

TEST_CASE("ignore_eos ignores the model's end tokens, not the request's own") {
    Bench bench;
    bench.ready();
    SequenceSpec spec = spec_of(7, 3);
    spec.stop.ignore_eos = true;
    spec.stop.stop_token_ids = {42};
    bench.send(RequestArrived{1, spec});
    CHECK(all<Finish>(bench.complete(99)).empty());
    CHECK(all<Finish>(bench.complete(42)) == std::vector<Finish>{{7, FinishReason::stop, 2, std::nullopt}});
}

TEST_CASE("a stop position ends it there; invalid ones do nothing") {
    Bench bench;
    bench.ready();
    bench.send(RequestArrived{1, spec_of(7, 3)});
    for (int i = 0; i < 3; ++i) bench.complete(5);
    CHECK(all<Finish>(bench.send(StopReached{200, 7, 1, 3})).empty());  // not yet generated
    CHECK(all<Finish>(bench.send(StopReached{200, 7, 2, 1})).empty());  // an epoch to come
    CHECK(all<Finish>(bench.send(StopReached{200, 8, 1, 1})).empty());
    CHECK(all<Finish>(bench.send(StopReached{200, 7, 1, 1})) ==
          std::vector<Finish>{{7, FinishReason::stop, 2, std::nullopt}});
    CHECK(all<Finish>(bench.send(StopReached{200, 7, 1, 0})).empty());
    CHECK(bench.complete(5).empty());
}

TEST_CASE("a cancelled sequence is in no later plan, and its blocks come free when its steps have ended") {
    Bench bench;
    bench.ready();
    bench.send(RequestArrived{1, spec_of(7, 3)});
    CHECK(all<Finish>(bench.send(RequestCancelled{200, 7})) ==
          std::vector<Finish>{{7, FinishReason::cancelled, 0, std::nullopt}});
    CHECK(bench.scheduler.stats().free_blocks == 15);
    CHECK(bench.complete(5).empty());
    CHECK(bench.complete(5).empty());
    CHECK(bench.scheduler.stats().free_blocks == 16);
    bench.send(RequestArrived{300, spec_of(8, 3)});
    CHECK(bench.plans.at(2).removed == std::vector<SequenceId>{7});
    CHECK(bench.plans.at(2).rows == Rows{{8, 3, RowKind::sample}});
    CHECK(bench.send(RequestCancelled{301, 7}).empty());
}

TEST_CASE("what can never be served is refused with the flag to change") {
    SchedulerOptions options = small();
    options.num_blocks = 4;
    options.max_model_len = 30;
    Bench bench(options);
    auto refusal = [&](const SequenceSpec& spec) {
        return all<Reject>(bench.send(RequestArrived{1, spec})).at(0).error;
    };
    CHECK(refusal(spec_of(1, 30)).tag == "context_length_exceeded");
    CHECK(refusal(spec_of(1, 30)).message.find("--max-model-len") != std::string::npos);
    CHECK(refusal(spec_of(1, 20)).message.find("--kv-blocks") != std::string::npos);
    CHECK(refusal(spec_of(1, 10, 8)).code == ErrorCode::invalid_argument);
    CHECK(refusal(spec_of(1, 0)).param == "prompt");
    CHECK(refusal(spec_of(1, 4, 0)).param == "max_tokens");
    CHECK(bench.send(RequestArrived{1, spec_of(1, 10, 7)}).empty());  // 17 tokens: the last needs no KV
    CHECK(max_sequence_len(options) == 17);
}

TEST_CASE("a sequence submitted again goes on from its tokens") {
    Bench bench;
    bench.ready();
    SequenceSpec spec = spec_of(7, 3);
    spec.tokens.insert(spec.tokens.end(), {5, 6});
    bench.send(RequestArrived{1, spec});
    CHECK(bench.plans[0].rows == Rows{{7, 5, RowKind::sample}});
    CHECK(all<EmitToken>(bench.complete(8)) == std::vector<EmitToken>{{7, 1, 2, {8}}});
    // One that had its last token already ends at once.
    spec.id = 8;
    spec.tokens.push_back(99);
    CHECK(all<Finish>(bench.send(RequestArrived{1, spec})) ==
          std::vector<Finish>{{8, FinishReason::stop, 3, std::nullopt}});
    spec = spec_of(9, 3, 2);
    spec.tokens.insert(spec.tokens.end(), {5, 6});
    CHECK(all<Finish>(bench.send(RequestArrived{1, spec})) ==
          std::vector<Finish>{{9, FinishReason::length, 2, std::nullopt}});
}

TEST_CASE("a lost worker's sequences go on with the next one, from their tokens, in their order") {
    Bench bench;
    bench.ready();
    bench.send(RequestArrived{1, spec_of(7, 3)});
    bench.send(RequestArrived{2, spec_of(8, 2)});
    bench.complete(5);
    bench.complete(6);
    CHECK(bench.lose().empty());
    CHECK(bench.scheduler.stats().free_blocks == 16);
    CHECK(bench.scheduler.stats().num_recovered_sequences == 2);
    const std::size_t before = bench.plans.size();
    CHECK(bench.send(RequestArrived{3, spec_of(9, 1)}).empty());  // no worker, no plan
    bench.ready();
    const StepPlan& plan = bench.plans.at(before);
    CHECK(plan.epoch == 2);
    CHECK(plan.removed.empty());
    REQUIRE(plan.added.size() == 3);
    CHECK(plan.added[0].tokens == std::vector<TokenId>{7, 7, 7, 5, 6});
    CHECK(plan.added[0].num_computed_tokens == 0);
    CHECK(plan.rows == Rows{{7, 5, RowKind::sample}, {8, 2, RowKind::sample}, {9, 1, RowKind::sample}});
    CHECK(all<EmitToken>(bench.complete(7)).at(0) == EmitToken{7, 2, 2, {7}});
}

TEST_CASE("results and losses of other epochs are ignored") {
    Bench bench;
    bench.ready();
    bench.send(RequestArrived{1, spec_of(7, 3)});
    StepResult late;
    late.epoch = 1;
    late.step = 1;
    late.sampled = {{7, {55}}};
    bench.lose();
    bench.ready();
    const std::size_t unanswered = bench.unanswered();
    CHECK(bench.send(StepCompleted{200, late}).empty());
    CHECK(bench.send(WorkerLost{200, 1}).empty());
    CHECK(bench.send(WorkerReady{200, 1}).empty());
    CHECK(bench.unanswered() == unanswered);
}

TEST_CASE("a result that does not fit its plan is a bug of the worker") {
    Bench bench;
    bench.ready();
    bench.send(RequestArrived{1, spec_of(7, 3)});
    StepResult result;
    result.epoch = 1;
    result.step = 1;
    CHECK_THROWS_AS(bench.scheduler.handle(StepCompleted{200, result}), std::logic_error);
}

TEST_CASE("who kills workers runs alone from the second death on, and fails alone at the third") {
    SchedulerOptions options = small();
    options.max_num_batched_tokens = 32;
    Bench bench(options);
    bench.ready();
    for (SequenceId id : {7, 8, 9}) bench.send(RequestArrived{1, spec_of(id, 2)});
    while (bench.plans.at(bench.answered).rows.size() < 3) bench.complete(5);
    for (int death = 0; death < 2; ++death) {
        bench.lose();
        bench.ready();
    }
    // All three are suspects now. The first is the culprit: it dies alone and fails.
    CHECK(bench.plans.back().rows.size() == 1);
    CHECK(bench.plans.back().rows[0].id == 7);
    const auto failed = all<Finish>(bench.lose());
    REQUIRE(failed.size() == 1);
    CHECK(failed[0].sequence == 7);
    CHECK(failed[0].reason == FinishReason::failed);
    CHECK(failed[0].error->tag == "worker_crashed_on_request");
    bench.ready();
    // The others take their turns until each has made a token; then they run together again.
    for (SequenceId id : {8, 9}) {
        CHECK(bench.plans.at(bench.answered).rows.size() == 1);
        CHECK(bench.plans.at(bench.answered).rows[0].id == id);
        while (all<EmitToken>(bench.complete(5)).empty()) continue;
        if (bench.unanswered() > 1 || bench.plans.at(bench.answered).rows[0].id == id) bench.complete(5);
    }
    CHECK(bench.plans.back().rows.size() == 2);
}

TEST_CASE("a death counts for the step that the worker was in, not for the one planned behind it") {
    Bench bench;
    bench.ready();
    bench.send(RequestArrived{1, spec_of(7, 8)});
    bench.send(RequestArrived{2, spec_of(8, 8)});
    bench.complete(5);
    CHECK(bench.plans.at(bench.answered).rows.size() == 1);
    CHECK(bench.plans.back().rows.size() == 2);
    bench.lose();
    CHECK(bench.scheduler.find(7)->num_worker_deaths == 1);
    CHECK(bench.scheduler.find(8)->num_worker_deaths == 0);
}

TEST_CASE("the latest is preempted when blocks run out, recomputes with the same tokens, and all end") {
    SchedulerOptions options = small();
    options.num_blocks = 5;
    Bench bench(options);
    bench.ready();
    bench.send(RequestArrived{1, spec_of(7, 6, 12)});
    bench.send(RequestArrived{2, spec_of(8, 3, 8)});
    std::vector<SequenceId> preempted;
    std::vector<SequenceId> finished;
    while (bench.unanswered() > 0) {
        const auto actions = bench.complete(5);
        for (const auto& p : all<Preempted>(actions)) preempted.push_back(p.sequence);
        for (const auto& f : all<Finish>(actions)) finished.push_back(f.sequence);
    }
    CHECK(preempted == std::vector<SequenceId>{8});
    CHECK(finished == std::vector<SequenceId>{7, 8});
    CHECK(bench.scheduler.stats().num_preemptions == 1);
}

TEST_CASE("whoever is preempted again gets all its full blocks back from below the pool") {
    SchedulerOptions options = small();
    options.block_size = 16;
    options.max_model_len = 400;
    options.max_num_batched_tokens = 64;
    options.num_blocks = 20;
    options.host_pages = 80;
    options.host_us_per_block = 1;
    Bench bench(options);
    bench.ready();
    bench.send(RequestArrived{1, spec_of(9, 10, 160)});  // less than a block
    std::vector<std::uint32_t> full;                     // blocks of it at each preemption
    std::uint64_t expected = 0;
    SequenceId last = 0;
    const auto complete = [&] {
        const auto actions = bench.complete(5);
        for (const auto& preempted : all<Preempted>(actions)) {
            REQUIRE(preempted.sequence == 9);
            full.push_back(static_cast<std::uint32_t>(bench.scheduler.find(9)->spec.tokens.size() - 1) / 16);
            expected += full.back();
        }
        std::vector<Move> moves = all<Move>(actions);
        for (std::size_t i = 0; i < moves.size(); ++i) {
            const MoveBlocks& job = moves[i].moves;
            const MoveDone done{job.epoch, job.job, static_cast<std::uint32_t>(job.moves.size()), 1};
            for (const Move& more : all<Move>(bench.send(MoveCompleted{++bench.now, done})))
                moves.push_back(more);
        }
    };
    while (bench.scheduler.find(9)->spec.tokens.size() < 48) complete();
    while (last < 2) {  // one that comes before it and takes the whole pool
        bench.send(RequestArrived{1, spec_of(++last, 160, 161)});
        while (bench.scheduler.find(last) != nullptr) complete();
        REQUIRE(bench.scheduler.find(9) != nullptr);
        const std::size_t had = bench.scheduler.find(9)->spec.tokens.size();
        while (bench.scheduler.find(9)->spec.tokens.size() < had + 2) complete();
        INFO("preemption " << last);
        CHECK(full.size() == last);
        CHECK(bench.scheduler.stats().swap.blocks_in == expected);
    }
    CHECK(full[1] > full[0]);
}

TEST_CASE("a sequence whose logits were not finite fails alone") {
    Bench bench;
    bench.ready();
    bench.send(RequestArrived{1, spec_of(7, 3)});
    bench.send(RequestArrived{2, spec_of(8, 1)});
    bench.complete(5);
    bench.complete(5);
    auto result_of = [](const StepPlan& plan) {
        StepResult result{.epoch = plan.epoch, .step = plan.step, .sampled = {}, .prompts = {}};
        for (const PlanRow& row : plan.rows) result.sampled.push_back({row.id, {row.id == 7 ? no_token : 6}});
        return result;
    };
    const StepPlan plan = bench.plans.at(bench.answered++);
    REQUIRE(plan.rows.size() == 2);
    auto actions = bench.send(StepCompleted{200, result_of(plan)});
    const auto finished = all<Finish>(actions);
    REQUIRE(finished.size() == 1);
    CHECK(finished[0].sequence == 7);
    CHECK(finished[0].reason == FinishReason::failed);
    CHECK(finished[0].num_generated == 2);
    CHECK(finished[0].error->code == ErrorCode::internal);
    CHECK(finished[0].error->tag == "not_finite_logits");
    CHECK(all<EmitToken>(actions) == std::vector<EmitToken>{{8, 1, 0, {6}}});
    actions = bench.complete(6);  // planned ahead, with a row for it
    CHECK(all<EmitToken>(actions) == std::vector<EmitToken>{{8, 1, 1, {6}}});
    CHECK(all<Finish>(actions).empty());
    CHECK(bench.plans.back().rows == Rows{{8, 1, RowKind::sample}});
}

TEST_CASE("a deadline that passed fails the request, an early alarm does not") {
    Bench bench;
    bench.ready();
    SequenceSpec spec = spec_of(7, 3);
    spec.deadline = 500;
    bench.send(RequestArrived{1, spec});
    CHECK(all<Finish>(bench.send(DeadlineReached{499, 7})).empty());
    const auto finished = all<Finish>(bench.send(DeadlineReached{500, 7}));
    REQUIRE(finished.size() == 1);
    CHECK(finished[0].error->code == ErrorCode::timed_out);
}

TEST_CASE("options are checked") {
    CHECK(validate(small()).ok());
    SchedulerOptions options = small();
    options.num_blocks = 0;
    CHECK(validate(options).error().param == "--kv-blocks");
}

}  // namespace
}  // namespace troupe
