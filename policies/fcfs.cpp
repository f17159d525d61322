#include "policies/fcfs.hpp"

#include "policies/batch.hpp"
#include "policies/overdue.hpp"
#include "policies/policy.hpp"

namespace troupe {
namespace {

class Fcfs {
  public:
    explicit Fcfs(PolicyOptions& options) : bound_(options, 30) {}

    void decide(const PolicyView& view, PolicyDecision& decision) {
        Batch batch(view, decision);
        batch.run(batch.running_by_arrival());
        // After a preemption blocks are short: admitting now would only bring the next one.
        if (batch.has_preempted()) return;
        batch.admit(WaitingQueue(view, [&](const PolicySequence& sequence) {
            return bound_.overdue(view, sequence) ? WaitBound::first : static_cast<double>(sequence.priority);
        }));
    }
    void on_event(const PolicyEvent&) {}

  private:
    WaitBound bound_;
};

}  // namespace

const PolicyTable& fcfs_policy() { return PolicyAdapter<Fcfs>::table(); }

}  // namespace troupe
