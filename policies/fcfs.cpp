#include "policies/fcfs.hpp"

#include "policies/batch.hpp"
#include "policies/policy.hpp"

namespace troupe {
namespace {

struct Fcfs {
    explicit Fcfs(PolicyOptions&) {}

    void decide(const PolicyView& view, PolicyDecision& decision) {
        Batch batch(view, decision);
        batch.run(batch.running_by_arrival());
        // After a preemption blocks are short: admitting now would only bring the next one.
        if (batch.has_preempted()) return;
        batch.admit(WaitingQueue(view, [](const PolicySequence& sequence) { return sequence.priority; }));
    }
    void on_event(const PolicyEvent&) {}
};

}  // namespace

const PolicyTable& fcfs_policy() { return PolicyAdapter<Fcfs>::table(); }

}  // namespace troupe
