// The Scheduler under random operations, with fixed seeds: see simulation.cpp for what is checked after each.
#include <array>
#include <random>

#include "policies/builtin.hpp"
#include "tests/catch.hpp"
#include "tests/engine/simulation.hpp"

namespace troupe::test {
namespace {

struct Shape {
    std::uint32_t block_size, num_blocks, budget, seqs;
};

SchedulerOptions options_of(const Shape& shape, std::uint32_t steps) {
    SchedulerOptions options;
    options.block_size = shape.block_size;
    options.num_blocks = shape.num_blocks;
    options.max_num_batched_tokens = shape.budget;
    options.max_num_seqs = shape.seqs;
    options.max_model_len = 30;
    options.max_steps_in_flight = steps;
    options.end_token_ids = {7, 11};
    if (steps == 2) options.lookups_per_place = 1;
    return options;
}

// Answers a mixture of sense and nonsense.
struct HostilePolicy {
    std::mt19937 random{1};
    static void* create(const char*, char*, std::uint32_t) { return new HostilePolicy; }
    static void destroy(void* self) { delete static_cast<HostilePolicy*>(self); }
    static std::int32_t decide(void* self, const PolicyView* view, PolicyDecision* decision) {
        return static_cast<HostilePolicy*>(self)->answer(*view, *decision);
    }
    std::int32_t answer(const PolicyView& view, PolicyDecision& decision) {
        const auto mood = random() % 16;
        if (mood == 0) return -1;
        if (mood == 1) {
            decision.num_rows = 0xFFFFFFFF;
            return 0;
        }
        if (mood == 2 || view.num_sequences == 0) return 0;
        std::uint32_t tokens = view.token_budget + (mood == 3 ? 5 : 0);
        for (std::uint32_t i = 0; i < view.num_sequences; ++i) {
            const PolicySequence& sequence = view.sequences[i];
            std::uint32_t remaining =
                sequence.prompt_tokens + sequence.generated_tokens - sequence.computed_tokens;
            if (sequence.generated_tokens == sequence.max_tokens && mood != 4) remaining = 0;
            if (mood < 12 && random() % 8 == 0 && sequence.state == POLICY_RUNNING) {
                decision.victim_actions[decision.num_victims] = static_cast<std::uint8_t>(random() % 3);
                decision.victims[decision.num_victims++] = i;
                if (mood != 5) continue;
            }
            if (sequence.state == POLICY_WAITING && random() % 64 == 0) {
                decision.shed[decision.num_shed++] = i;
                if (mood != 7) continue;
            }
            if (remaining == 0 || tokens == 0 || random() % 3 == 0) continue;
            const std::uint32_t granted =
                1 + static_cast<std::uint32_t>(random() % std::min(remaining, tokens));
            const std::uint32_t index =
                mood == 6 ? static_cast<std::uint32_t>(random() % (view.num_sequences + 2)) : i;
            decision.rows[decision.num_rows++] = {index, granted};
            tokens -= granted;
        }
        return 0;
    }
};

// Preempts and admits in a circle whatever the rules let it, and never lets anything finish.
struct CirclingPolicy {
    static void* create(const char*, char*, std::uint32_t) { return nullptr; }
    static void destroy(void*) {}
    static std::int32_t decide(void*, const PolicyView* view, PolicyDecision* decision) {
        bool first = true;
        for (std::uint32_t i = 0; i < view->num_sequences; ++i) {
            if (view->sequences[i].state == POLICY_RUNNING && !std::exchange(first, false)) {
                decision->victims[decision->num_victims++] = i;
            }
        }
        for (std::uint32_t i = view->num_sequences; i-- > 0;) {
            const PolicySequence& sequence = view->sequences[i];
            if (sequence.state == POLICY_RUNNING || view->num_running > view->max_sequences) continue;
            decision->rows[decision->num_rows++] = {i, 1};
            break;
        }
        return 0;
    }
};

template <class Policy>
constexpr PolicyTable table_of = {TROUPE_POLICY_ABI_VERSION, sizeof(PolicyTable), Policy::create,
                                  Policy::destroy,           Policy::decide,      nullptr};

constexpr std::array<Shape, 9> shapes = {
    {{1, 29, 1, 2},  // exactly what the longest sequence needs, one token a step
     {1, 29, 7, 8},
     {1, 60, 16, 4},
     {4, 8, 1, 3},
     {4, 8, 64, 8},
     {4, 20, 10, 4},
     {16, 2, 5, 4},
     {16, 6, 32, 8},
     {16, 40, 256, 16}}};

// Pages below the pool. A move costs next to nothing, so that it always pays.
struct Tiers {
    std::uint32_t host = 0, disk = 0;
};
constexpr std::array<Tiers, 3> tiers_below = {{{40, 0}, {5, 12}, {0, 30}}};

struct Totals {
    std::uint64_t completed = 0;
    std::uint64_t timed_out = 0;
    std::uint64_t preemptions = 0;
    std::uint64_t rejected_decisions = 0;
    std::uint64_t recovered_sequences = 0;
    std::uint64_t shared_tokens = 0;
    std::uint64_t shed = 0;
    SwapStats swap;
    std::string last_rejection;
};

Totals run_all(const PolicyTable& table, const Disturbance& disturbance, std::uint32_t seeds,
               int operations = 400, const std::string& policy_options = {}, Tiers tiers = {}) {
    Totals totals;
    for (const Shape& shape : shapes) {
        for (std::uint32_t steps : {1U, 2U, 3U}) {
            for (std::uint32_t seed = 1; seed <= seeds; ++seed) {
                TablePolicyPort policy(table, policy_options);
                World world{options_of(shape, steps), disturbance};
                world.operations = operations;
                world.options.host_pages = tiers.host;
                world.options.disk_pages = tiers.disk;
                world.options.host_us_per_block = world.options.disk_us_per_block = 0;
                Simulation simulation(world, policy, seed);
                INFO("block size " << shape.block_size << ", blocks " << shape.num_blocks << ", budget "
                                   << shape.budget << ", steps in flight " << steps << ", seed " << seed);
                REQUIRE_NOTHROW(simulation.run());
                totals.completed += simulation.num_completed();
                totals.timed_out += simulation.num_timed_out();
                totals.preemptions += simulation.stats().num_preemptions;
                totals.rejected_decisions += simulation.stats().num_rejected_decisions;
                totals.shared_tokens += simulation.num_shared_tokens();
                if (!simulation.last_rejection().empty()) totals.last_rejection = simulation.last_rejection();
                totals.shed += simulation.stats().num_shed_sequences;
                totals.recovered_sequences += simulation.stats().num_recovered_sequences;
                totals.swap.blocks_out += simulation.stats().swap.blocks_out;
                totals.swap.blocks_in += simulation.stats().swap.blocks_in;
                totals.swap.blocks_spilled += simulation.stats().swap.blocks_spilled;
                totals.swap.blocks_failed += simulation.stats().swap.blocks_failed;
            }
        }
    }
    return totals;
}

constexpr Disturbance everything = {.arrival = 20,
                                    .cancel = 4,
                                    .stop = 4,
                                    .deadline = 4,
                                    .worker_loss = 3,
                                    .stale_result = 3,
                                    .resubmission = 2,
                                    .scheduler_restart = 1};

TEST_CASE("random load: every sequence ends with the tokens of a run alone") {
    const Totals totals = run_all(*find_builtin_policy("fcfs"), {.arrival = 25}, 6);
    CHECK(totals.completed > 1000);
    CHECK(totals.preemptions > 100);
    CHECK(totals.rejected_decisions == 0);
    CHECK(totals.shared_tokens > 1000);
}

TEST_CASE("random load with cancels, stops, deadlines, lost workers, late results and restarts") {
    const Totals totals = run_all(*find_builtin_policy("fcfs"), everything, 8);
    CHECK(totals.completed > 1000);
    CHECK(totals.recovered_sequences > 100);
    CHECK(totals.timed_out > 100);
    CHECK(totals.shared_tokens > 1000);
    CHECK(totals.rejected_decisions == 0);
}

TEST_CASE("under every built-in policy every run ends, and no decision is nonsense") {
    for (const BuiltinPolicy& policy : builtin_policies()) {
        INFO(policy.name);
        const Totals totals = run_all(policy.table(), everything, 3);
        CHECK(totals.completed > 500);
        CHECK(totals.recovered_sequences > 50);
        CHECK(totals.last_rejection == "");
        CHECK(totals.rejected_decisions == 0);
    }
}

TEST_CASE("a policy that refuses what cannot make it loses nothing else") {
    const Totals totals =
        run_all(*find_builtin_policy("slo"), everything, 3, 400, "ttft_ms=0.2\ntpot_ms=0.02\nshed=1");
    CHECK(totals.completed > 500);
    CHECK(totals.shed > 100);
    CHECK(totals.rejected_decisions == 0);
}

Disturbance with_moves(Disturbance disturbance, int failing) {
    disturbance.move = 10;
    disturbance.failed_move = failing;
    return disturbance;
}

TEST_CASE("random load with tiers below the pool") {
    for (const Tiers& tiers : tiers_below) {
        INFO("host " << tiers.host << ", disk " << tiers.disk);
        const Totals totals =
            run_all(*find_builtin_policy("fcfs"), with_moves({.arrival = 25}, 0), 3, 400, {}, tiers);
        CHECK(totals.completed > 1000);
        CHECK(totals.preemptions > 100);
        CHECK(totals.rejected_decisions == 0);
        CHECK(totals.swap.blocks_out > 1000);
        CHECK(totals.swap.blocks_in > 300);
        CHECK(totals.swap.blocks_failed == 0);
        if (tiers.host > 0 && tiers.disk > 0) CHECK(totals.swap.blocks_spilled > 300);
    }
}

TEST_CASE("moves that are done only when nothing else is left to do stop nobody") {
    const Totals totals = run_all(*find_builtin_policy("fcfs"), {.arrival = 25}, 2, 400, {}, {20, 20});
    CHECK(totals.completed > 500);
    CHECK(totals.rejected_decisions == 0);
    CHECK(totals.swap.blocks_in > 100);
}

TEST_CASE("random load with tiers, everything else, and moves that fail") {
    for (const Tiers& tiers : tiers_below) {
        INFO("host " << tiers.host << ", disk " << tiers.disk);
        const Totals totals =
            run_all(*find_builtin_policy("fcfs"), with_moves(everything, 15), 4, 400, {}, tiers);
        CHECK(totals.completed > 500);
        CHECK(totals.recovered_sequences > 50);
        CHECK(totals.rejected_decisions == 0);
        CHECK(totals.swap.blocks_in > 30);  // by the last schedulers alone
        CHECK(totals.swap.blocks_failed > 20);
    }
}

TEST_CASE("with tiers, too, every run ends under every policy, the hostile ones included") {
    for (const BuiltinPolicy& policy : builtin_policies()) {
        INFO(policy.name);
        const Totals totals = run_all(policy.table(), with_moves(everything, 5), 1, 400, {}, {5, 12});
        CHECK(totals.completed > 100);
        CHECK(totals.last_rejection == "");
    }
    const Totals hostile = run_all(table_of<HostilePolicy>, with_moves(everything, 5), 3, 400, {}, {5, 12});
    CHECK(hostile.completed > 200);
    CHECK(hostile.swap.blocks_in > 30);
    const Totals circling =
        run_all(table_of<CirclingPolicy>, with_moves({.arrival = 25}, 5), 1, 60, {}, {5, 12});
    CHECK(circling.completed > 100);
}

TEST_CASE("a worker that dies often: requests fail alone, by their third death") {
    const Totals totals = run_all(*find_builtin_policy("fcfs"), {.arrival = 15, .worker_loss = 25}, 4);
    CHECK(totals.completed > 100);
}

TEST_CASE("a hostile policy changes no token and stops no run") {
    const Totals totals = run_all(table_of<HostilePolicy>, everything, 6);
    CHECK(totals.completed > 500);
    CHECK(totals.rejected_decisions > 100);
    CHECK(totals.preemptions > 100);
    CHECK(totals.shared_tokens > 1000);
}

TEST_CASE("a policy that runs in circles stops no run") {
    const Totals totals = run_all(table_of<CirclingPolicy>, {.arrival = 25}, 1, 60);
    CHECK(totals.completed > 100);
    CHECK(totals.rejected_decisions > 100);
}

TEST_CASE("the same events give the same actions") {
    for (std::uint32_t seed = 1; seed <= 5; ++seed) {
        TablePolicyPort policy(table_of<HostilePolicy>);
        Disturbance disturbance = everything;
        disturbance.scheduler_restart = 0;
        World world{options_of({4, 20, 10, 4}, 2), with_moves(disturbance, 5)};
        world.options.host_pages = 4;
        world.options.disk_pages = 6;
        Simulation simulation(world, policy, seed);
        simulation.run();
        TablePolicyPort again(table_of<HostilePolicy>);
        Scheduler replayed(world.options, again);
        for (std::size_t i = 0; i < simulation.events().size(); ++i) {
            REQUIRE(replayed.handle(simulation.events()[i]) == simulation.actions()[i]);
        }
    }
}

}  // namespace
}  // namespace troupe::test
