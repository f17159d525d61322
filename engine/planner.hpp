// Makes the next StepPlan: shows the policy a view, checks its decision, carries it out. Part of the
// Scheduler machine.
#pragma once
#include <map>
#include <optional>
#include <vector>

#include "engine/events.hpp"
#include "engine/policy_port.hpp"
#include "engine/scheduler_state.hpp"

namespace troupe {

class Planner {
  public:
    Planner(SchedulerState& state, PolicyPort& policy) : state_(state), policy_(policy) {}

    // The next step to execute, already noted as in flight; nothing if no worker is ready, enough steps are
    // in flight or nothing can be computed before one of them ends. Preemptions are appended to `actions`.
    std::optional<StepPlan> next_plan(TimeUs now, std::vector<Action>& actions);

  private:
    void build_view(TimeUs now);
    Decision decide();
    Decision decide_fcfs();
    Decision reject(const std::string& reason);
    bool stalled() const;

    // How far its group is with a prompt that several sequences share.
    struct PromptGroup {
        Sequence* source = nullptr;  // runs, and will have KV of the prompt by the end of the steps in flight
        std::int32_t priority = 0;   // of the most urgent of those coming
        bool coming = false;         // somebody runs, or is to run first, and will be the source
    };
    // The KV that a sequence that does not run yet takes over when it does: of its prompt but for the last
    // token, which it computes itself to draw what comes next.
    struct Prefix {
        Sequence* source = nullptr;
        std::uint32_t num_tokens = 0;
    };
    void find_groups();

    Sequence* suspect() const;
    bool in_flight_alone(const Sequence& suspect) const;
    Decision decide_alone(const Sequence& suspect) const;

    void preempt_victims(const Decision& decision, TimeUs now, std::vector<Action>& actions);
    void shed(const Decision& decision, TimeUs now, std::vector<Action>& actions);
    StepPlan plan_rows(const Decision& decision);
    std::uint32_t blocks_wanted(const Sequence& sequence, const Prefix& prefix,
                                std::uint32_t num_tokens) const;
    bool append_row(std::uint32_t candidate, std::uint32_t num_tokens, bool& short_of_blocks, StepPlan& plan);

    SchedulerState& state_;
    PolicyPort& policy_;
    // The view of the decision in the making; candidates_[i] is the sequence that entries_[i] describes.
    PolicyView view_{};
    std::vector<PolicySequence> entries_;
    std::vector<Sequence*> candidates_;
    std::vector<Prefix> prefixes_;                 // of each candidate
    std::map<std::uint64_t, PromptGroup> groups_;  // of the view
};

}  // namespace troupe
