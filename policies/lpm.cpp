#include "policies/lpm.hpp"

#include "policies/batch.hpp"
#include "policies/overdue.hpp"
#include "policies/policy.hpp"

namespace troupe {
namespace {

class Lpm {
  public:
    explicit Lpm(PolicyOptions& options) : bound_(options, 10) {}

    void decide(const PolicyView& view, PolicyDecision& decision) {
        Batch batch(view, decision);
        batch.run(batch.running_by_arrival());
        if (batch.has_preempted() || batch.full()) return;
        batch.admit(WaitingQueue(view, [&](const PolicySequence& sequence) {
            if (bound_.overdue(view, sequence)) return WaitBound::first;
            return -static_cast<double>(sequence.cached_prefix_tokens);
        }));
    }
    void on_event(const PolicyEvent&) {}

  private:
    WaitBound bound_;
};

}  // namespace

const PolicyTable& lpm_policy() { return PolicyAdapter<Lpm>::table(); }

}  // namespace troupe
