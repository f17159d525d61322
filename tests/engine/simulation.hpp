// A world around a Scheduler: request actors, a worker with a mirror and a toy model, and a random operator
// who lets things arrive, end, die and come late. Checks after every operation all that the design promises.
#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "engine/input_batch.hpp"
#include "engine/scheduler.hpp"
#include "tests/engine/fake_model.hpp"

namespace troupe::test {

// How often things happen, in percent of the operations; the rest are steps of the worker.
struct Disturbance {
    int arrival = 25;
    int cancel = 0;
    int stop = 0;
    int deadline = 0;
    int worker_loss = 0;
    int stale_result = 0;
    int resubmission = 0;
    int scheduler_restart = 0;
    int move = 0;         // an open move is carried out
    int failed_move = 0;  // in percent of those
};

struct World {
    SchedulerOptions options;
    Disturbance disturbance;
    std::uint32_t max_prompt = 20;
    std::uint32_t max_tokens = 12;
    int operations = 400;
};

class Simulation {
  public:
    Simulation(World world, PolicyPort& policy, std::uint32_t seed);

    // Random operations, then no more arrivals until all have ended. Throws std::runtime_error on any breach.
    void run();

    const std::vector<Event>& events() const { return events_; }
    const std::vector<std::vector<Action>>& actions() const { return actions_; }
    SchedulerStats stats() const { return scheduler_->stats(); }
    const std::string& last_rejection() const { return scheduler_->last_rejection(); }
    std::size_t num_completed() const {
        return completed_;
    }  // ended by themselves, with the tokens of a run alone
    std::size_t num_crashed() const { return crashed_; }  // ended by law 7
    std::size_t num_timed_out() const { return timed_out_; }
    std::uint64_t num_shared_tokens() const { return shared_tokens_; }  // taken from the cache

  private:
    struct Request {
        SequenceSpec spec;
        Reference reference;
        std::vector<TokenId> received;
        std::int64_t stop_after = -1;  // it has sent StopReached with this position
        int deaths = 0;                // its worker's, in a step for it, since its last token
        bool finished = false;
    };
    struct InFlight {
        StepPlan plan;
        std::set<BlockId> blocks;
        std::set<SequenceId> replaced;  // by a new submission: their rows no longer count
    };

    int percent() { return static_cast<int>(random_() % 100); }
    std::uint32_t upto(std::uint32_t n) { return n == 0 ? 0 : static_cast<std::uint32_t>(random_() % n); }
    Request* any_live();

    void operate();
    void arrive();
    void share_prompt(SequenceSpec& spec);
    void send_stop();
    void reach_deadline();
    void resubmit();
    void step();
    void lose_worker();
    void ready_worker();
    void restart_scheduler();
    void finish_move();

    void handle(Event event);
    void take(const Execute& action);
    void take(const EmitToken& action);
    void take(const EmitPromptLogprobs& action);
    void take(const Finish& action);
    void take(const Reject& action);
    void take(const Preempted& action);
    void take(const Move& action);
    void check_blocks(const StepPlan& plan);
    void check_alone() const;
    void check_mirror() const;
    void expect(bool holds, const std::string& what) const;

    World world_;
    PolicyPort& policy_;
    std::uint32_t seed_;
    std::mt19937 random_;
    std::unique_ptr<Scheduler> scheduler_;
    std::unique_ptr<InputBatch> mirror_;
    std::unique_ptr<FakeModel> model_;
    std::deque<InFlight> in_flight_;
    std::map<std::pair<Tier, BlockId>, FakeModel::Block> pages_;  // of the tiers below the pool
    std::vector<MoveBlocks> moves_;                               // open ones
    std::vector<StepResult> stale_;                               // of lost workers, to be delivered late
    std::map<SequenceId, std::vector<BlockId>> tables_;           // as the plans so far make them
    std::map<SequenceId, Request> requests_;
    std::vector<Event> events_;
    std::vector<std::vector<Action>> actions_;
    SequenceId last_id_ = 0;
    Epoch epoch_ = 0;
    bool ready_ = false;
    TimeUs now_ = 0;
    std::size_t completed_ = 0;
    std::size_t crashed_ = 0;
    std::size_t timed_out_ = 0;
    std::uint64_t shared_tokens_ = 0;
};

}  // namespace troupe::test
