// What a step costs the scheduler, in microseconds: median, and 99th percentile.
//     scheduler_bench [running] [waiting] [policy] [load]
// For every built-in policy, under three loads. steady: all places are taken and nobody ends. churn: outputs
// of 32 to 96 tokens, so that at each step some end, others are admitted and new ones come. conversations:
// churn with prompts that begin with one of 8 system prompts of 1000 tokens, over a pool that has to forget
// prefixes all the time.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <random>

#include "engine/input_batch.hpp"
#include "engine/scheduler.hpp"
#include "policies/builtin.hpp"

using namespace troupe;

namespace {

struct Load {
    const char* name;
    std::uint32_t prompt, shared;  // tokens; of them, those of a system prompt
    std::uint32_t min_output, max_output;
    std::uint32_t num_blocks;
};

class Bench {
  public:
    Bench(const Load& load, const PolicyTable& policy, std::uint32_t running, std::uint32_t waiting)
        : load_(load), policy_(policy), scheduler_(options(load, running), policy_) {
        // Lengths of prompts below a step's budget, so that places are filled before it is measured.
        for (std::uint32_t i = 0; i < running + waiting; ++i) arrive();
        handle(WorkerReady{++now_, 1});
    }

    // Microseconds of the scheduler for each of so many steps.
    std::vector<double> measure(std::size_t steps) {
        std::vector<double> us;
        for (std::size_t i = 0; i < steps; ++i) us.push_back(step());
        return us;
    }
    SchedulerStats stats() const { return scheduler_.stats(); }

  private:
    using Clock = std::chrono::steady_clock;

    static SchedulerOptions options(const Load& load, std::uint32_t running) {
        SchedulerOptions made;
        made.max_num_seqs = running;
        made.max_num_batched_tokens = 2048;
        made.max_model_len = 4096;
        made.num_blocks = load.num_blocks;
        return made;
    }

    void arrive() {
        SequenceSpec spec;
        spec.id = ++last_id_;
        spec.tenant = last_id_ % 4;
        spec.arrival = now_;
        const auto system = static_cast<TokenId>(random_() % 8);
        for (std::uint32_t i = 0; i < load_.prompt; ++i)
            spec.tokens.push_back(i < load_.shared ? system : static_cast<TokenId>(random_() % 30000));
        spec.num_prompt_tokens = load_.prompt;
        spec.stop.max_tokens = load_.min_output + static_cast<std::uint32_t>(
                                                      random_() % (load_.max_output - load_.min_output + 1));
        handle(RequestArrived{now_, spec});
    }

    double step() {
        const StepPlan plan = std::move(plans_.front());
        plans_.pop_front();
        StepResult result;
        result.epoch = plan.epoch;
        result.step = plan.step;
        result.compute_us = 20000;
        for (const PlanRow& row : plan.rows) {
            if (row.kind == RowKind::sample)
                result.sampled.push_back({row.id, {static_cast<TokenId>(random_() % 30000)}});
        }
        now_ += 20000;
        const double us = handle(StepCompleted{now_, result});
        for (; ended_ > 0; --ended_) arrive();  // as many wait as before
        return us;
    }

    double handle(const Event& event) {
        const auto start = Clock::now();
        std::vector<Action> actions = scheduler_.handle(event);
        const double us = std::chrono::duration<double, std::micro>(Clock::now() - start).count();
        for (Action& action : actions) {
            if (auto* execute = std::get_if<Execute>(&action)) plans_.push_back(std::move(execute->plan));
            if (std::holds_alternative<Finish>(action)) ++ended_;
        }
        return us;
    }

    const Load& load_;
    TablePolicyPort policy_;
    Scheduler scheduler_;
    std::deque<StepPlan> plans_;
    std::mt19937 random_{1};
    SequenceId last_id_ = 0;
    TimeUs now_ = 1;
    std::uint32_t ended_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
    const auto running = static_cast<std::uint32_t>(argc > 1 ? std::atoi(argv[1]) : 256);
    const auto waiting = static_cast<std::uint32_t>(argc > 2 ? std::atoi(argv[2]) : 1000);
    const Load loads[] = {{"steady", 100, 0, 3000, 3000, 100000},
                          {"churn", 100, 0, 32, 96, 100000},
                          {"conversations", 1100, 1000, 32, 96, running * 24}};
    std::printf("%u running, %u waiting%35s%10s%10s%10s\n", running, waiting, "median us", "p99 us",
                "running", "hit rate");
    const auto asked = [&](int argument, const char* name) {
        return argc <= argument || std::strcmp(argv[argument], name) == 0;
    };
    for (const BuiltinPolicy& policy : builtin_policies()) {
        for (const Load& load : loads) {
            if (!asked(3, policy.name) || !asked(4, load.name)) continue;
            Bench bench(load, policy.table(), running, waiting);
            bench.measure(400);
            std::vector<double> us = bench.measure(2000);
            std::sort(us.begin(), us.end());
            const SchedulerStats stats = bench.stats();
            std::printf("%-12s%-24s%24.1f%10.1f%10u%10.2f\n", policy.name, load.name, us[us.size() / 2],
                        us[us.size() * 99 / 100], stats.num_running,
                        static_cast<double>(stats.num_prefix_hits) /
                            static_cast<double>(std::max<std::uint64_t>(stats.num_prefix_queries, 1)));
        }
    }
    return 0;
}
