// One replica under virtual time: the production Scheduler, a worker that computes nothing but how long each
// step takes, and a memory manager that moves nothing but takes its time. The worker runs plans one after
// another, as the real one does; moves run beside it (engine/simulator/virtual_mover.hpp).
#pragma once
#include <algorithm>
#include <deque>
#include <limits>
#include <vector>

#include "engine/scheduler.hpp"
#include "engine/simulator/step_costs.hpp"
#include "engine/simulator/virtual_mover.hpp"

namespace troupe {

// What the virtual worker knows of a sequence; index = id - 1, shared by all replicas.
struct VirtualSequence {
    std::uint32_t prompt_tokens = 0;
    std::uint32_t output_tokens = 0;    // after so many comes the end token
    std::uint32_t computed_tokens = 0;  // by steps begun
};

class ReplicaListener {
  public:
    virtual ~ReplicaListener() = default;
    // Its first num_cached tokens needed no computing. Again after each preemption.
    virtual void admitted(SequenceId id, TimeUs now, std::uint32_t num_cached) = 0;
    virtual void emitted(SequenceId id, TimeUs now) = 0;
    virtual void preempted(SequenceId id) = 0;
    virtual void ended(SequenceId id, TimeUs now, bool served) = 0;
    virtual void stepped(TimeUs begin, TimeUs end, const StepFeatures& step) = 0;
};

class VirtualReplica {
  public:
    static constexpr TimeUs never = std::numeric_limits<TimeUs>::max();
    static constexpr TokenId end_token = 0, other_token = 1;

    // `gap_us`: between the end of a step and the start of the next.
    VirtualReplica(const SchedulerOptions& options, PolicyPort& policy, const StepCosts& costs, double gap_us,
                   std::vector<VirtualSequence>& sequences, ReplicaListener& listener);

    void submit(TimeUs now, SequenceSpec spec);
    // When something happens next: a step ends, or a move; never: nothing is under way.
    TimeUs next_event() const { return std::min(ends_, mover_.next_end()); }
    // Lets it happen. Precondition: next_event() is not never.
    void advance();

    SchedulerStats stats() const { return scheduler_.stats(); }

  private:
    void handle(const Event& event);
    void end_step();
    void begin_next(TimeUs now);
    StepFeatures apply(const StepPlan& plan, TimeUs now);

    Scheduler scheduler_;
    const StepCosts& costs_;
    double gap_us_;
    std::vector<VirtualSequence>& sequences_;
    ReplicaListener& listener_;
    std::deque<StepPlan> plans_;  // not begun
    StepResult running_;          // of the step that runs, ready to be delivered
    StepFeatures features_;       // of that step
    VirtualMover mover_;
    TimeUs begun_ = 0, ends_ = never, idle_since_ = 0;
};

}  // namespace troupe
