// Makes the next StepPlan: shows the policy a view, checks its decision, carries it out. Part of the
// Scheduler machine.
#pragma once
#include <optional>
#include <vector>

#include "engine/events.hpp"
#include "engine/policy_port.hpp"
#include "engine/prefix_sharing.hpp"
#include "engine/scheduler_state.hpp"

namespace troupe {

class Planner {
  public:
    Planner(SchedulerState& state, PolicyPort& policy) : state_(state), policy_(policy), sharing_(state) {}

    // The next step to execute, already noted as in flight; nothing if no worker is ready, enough steps are
    // in flight or nothing can be computed before one of them ends. Preemptions are appended to `actions`.
    std::optional<StepPlan> next_plan(TimeUs now, std::vector<Action>& actions);

    // Blocks of prompts that all plans looked up in the cache.
    std::uint64_t num_looked_up() const { return sharing_.num_looked_up(); }

  private:
    void build_view(TimeUs now);
    Decision decide();
    Decision decide_fcfs();
    Decision reject(const std::string& reason);
    bool stalled() const;

    Sequence* suspect() const;
    bool in_flight_alone(const Sequence& suspect) const;
    Decision decide_alone(const Sequence& suspect) const;

    void preempt_victims(const Decision& decision, TimeUs now, std::vector<Action>& actions);
    void shed(const Decision& decision, TimeUs now, std::vector<Action>& actions);
    StepPlan plan_rows(const Decision& decision, TimeUs now);
    std::uint32_t blocks_wanted(const Sequence& sequence, std::uint32_t num_tokens) const;
    std::uint32_t loadable_blocks(Sequence& sequence, TimeUs now) const;
    bool waits_for_load(const Sequence& sequence) const;
    bool load(Sequence& sequence, std::uint32_t wanted, TimeUs now);
    bool append_row(Sequence& sequence, std::uint32_t num_tokens, TimeUs now, bool& short_of_blocks,
                    StepPlan& plan);
    std::uint32_t admit(Sequence& sequence, std::uint32_t num_tokens);

    SchedulerState& state_;
    PolicyPort& policy_;
    // The view of the decision in the making; candidates_[i] is the sequence that entries_[i] describes.
    PolicyView view_{};
    std::vector<PolicySequence> entries_;
    std::vector<Sequence*> candidates_;
    PrefixSharing sharing_;
};

}  // namespace troupe
