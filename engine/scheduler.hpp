// The Scheduler machine: events in, actions out (engine/events.hpp). Continuous batching over a paged KV
// cache with chunked prefill in mixed batches, preemption by recompute and run-ahead. Pure: no clock, thread,
// log or environment.
//
// A shell (an actor, the simulator, a test) feeds it one event at a time and carries out the actions in their
// order: Execute goes to the worker group, whose answers come back as StepCompleted in step order; Move to
// the memory manager, which answers each with a MoveCompleted, in any order; the others go to request actors.
// No plan is made before the first WorkerReady.
//
// What holds whatever the policy and the events are (tests/engine/scheduler_random_test.cpp):
//   - every accepted sequence ends; its tokens are those of an undisturbed run alone, if the worker's are
//   (law 3)
//   - a cancelled, stopped or ended sequence is in no later plan; results for it are dropped
//   - no row is planned beyond max_tokens or the context; at most max_steps_in_flight plans are unanswered
//   - a block is given out again only when no step in flight references it
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "core/sequence.hpp"
#include "core/status.hpp"
#include "engine/cost_model.hpp"
#include "engine/events.hpp"
#include "engine/policy_port.hpp"

namespace troupe {

class Planner;
struct SchedulerState;

// Frozen once the Scheduler is made. All counts must be >= 1.
struct SchedulerOptions {
    std::uint32_t max_num_batched_tokens = 512;  // tokens of one step
    std::uint32_t max_num_seqs = 64;             // sequences running at once
    std::uint32_t max_model_len = 2048;          // tokens of one sequence, prompt and generated together
    std::uint32_t block_size = 16;               // tokens of one KV block
    std::uint32_t num_blocks = 1024;             // of the pool
    std::uint32_t max_steps_in_flight = 2;       // 1: no run-ahead
    std::vector<TokenId> end_token_ids;          // the model's own; stop.ignore_eos turns them off
    // Blocks that fit into the tiers below the pool, and how long it takes to move one there or back until
    // that has been measured.
    std::uint32_t host_pages = 0;
    std::uint32_t disk_pages = 0;
    double host_us_per_block = 100.0;
    double disk_us_per_block = 2000.0;
    // Blocks of waiting prompts that a plan looks up in the cache, for each of max_num_seqs; tests take less.
    std::uint32_t lookups_per_place = 64;
    StepId first_step = 1;  // number of the first step; a scheduler that replaces another goes on counting

    bool operator==(const SchedulerOptions&) const = default;
};

// Checks what the constructor takes for granted; the message names the flag at fault.
Status validate(const SchedulerOptions& options);

// The longest sequence, prompt and generated together, that context and pool allow (the last token needs no
// KV). A request without max_tokens means this minus its prompt; with more it is refused or ends with
// `length`.
std::uint32_t max_sequence_len(const SchedulerOptions& options);

// Of the tiers below the pool. Pages are of now, the rest are totals.
struct SwapStats {
    std::uint64_t blocks_out = 0;      // from the pool
    std::uint64_t blocks_in = 0;       // into the pool
    std::uint64_t blocks_spilled = 0;  // from host memory to disk
    std::uint64_t blocks_failed = 0;   // that did not arrive
    std::uint32_t host_pages_used = 0, host_pages = 0;
    std::uint32_t disk_pages_used = 0, disk_pages = 0;
};

// Counters are totals since construction; the rest is of now.
struct SchedulerStats {
    std::uint32_t num_running = 0;
    std::uint32_t num_waiting = 0;  // preempted ones included
    std::uint32_t steps_in_flight = 0;
    std::uint32_t free_blocks = 0;    // those that only the cache remembers included
    std::uint32_t cached_blocks = 0;  // of them, those that it remembers
    std::uint32_t total_blocks = 0;
    std::uint64_t num_steps = 0;  // completed
    std::uint64_t num_preemptions = 0;
    std::uint64_t num_rejected_decisions = 0;   // FCFS decided instead
    std::uint64_t num_shed_sequences = 0;       // refused by the policy
    std::uint64_t num_recovered_sequences = 0;  // made to recompute by a worker's loss
    std::uint64_t num_generated_tokens = 0;
    // Of sequences that ran for the first time: tokens that could have come from the cache, and that did.
    std::uint64_t num_prefix_queries = 0;
    std::uint64_t num_prefix_hits = 0;
    StepCost step_cost;
    SwapStats swap;
};

// Not thread-safe; owned by one shell.
class Scheduler {
  public:
    // Precondition: validate(options). `policy` must outlive the Scheduler and must not call it.
    Scheduler(SchedulerOptions options, PolicyPort& policy);
    ~Scheduler();
    Scheduler(const Scheduler&) = delete;
    Scheduler& operator=(const Scheduler&) = delete;

    // Throws std::logic_error on a result of this epoch that does not fit its plan: a worker's bug, after
    // which the shell should die and let the request actors submit again.
    std::vector<Action> handle(const Event& event);

    SchedulerStats stats() const;

    // The most deaths of its worker that a living sequence was in a step for since its last token: perhaps it
    // is what the worker died of.
    std::uint32_t suspect_deaths() const;

    // Why the last rejected decision was rejected, for the log; empty if none was.
    const std::string& last_rejection() const;

    // For tests: the sequence or null, and its blocks.
    const Sequence* find(SequenceId id) const;
    std::vector<BlockId> block_table(SequenceId id) const;

    // For tests: how many blocks of prompts have been looked up in the cache.
    std::uint64_t num_looked_up() const;

    // For tests: throws std::logic_error if the state contradicts itself.
    void check_invariants() const;

  private:
    void on(const RequestArrived& event, std::vector<Action>& actions);
    void on(const RequestCancelled& event, std::vector<Action>& actions);
    void on(const StopReached& event, std::vector<Action>& actions);
    void on(const StepCompleted& event, std::vector<Action>& actions);
    void on(const WorkerLost& event, std::vector<Action>& actions);
    void on(const WorkerReady& event, std::vector<Action>& actions);
    void on(const DeadlineReached& event, std::vector<Action>& actions);
    void on(const MoveCompleted& event, std::vector<Action>& actions);
    void on(const PolicyReplaced& event, std::vector<Action>& actions);

    std::unique_ptr<SchedulerState> state_;
    std::unique_ptr<Planner> planner_;
    PolicyPort& policy_;
};

}  // namespace troupe
