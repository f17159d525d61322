// Earliest deadline first, as a plug-in: an example that is not built in, in the 40 lines that such a policy
// takes.
//
//   g++ -std=c++20 -O2 -shared -fPIC -I INCLUDE deadline.cpp -o libdeadline.so    (INCLUDE: where
//   policies/policy.hpp lies) troupe serve --policy ./libdeadline.so --policy-option slack_ms=200
//
// Requests give a deadline (deadline_ms) after which their answer is worth nothing. Those that wait are
// admitted by deadline, the earliest first (Liu and Layland 1973: optimal on one machine while all can be
// met); those without one come last, as they arrived. One that cannot be met any more, its first token being
// slack_ms from its deadline, is not worth a place: it goes behind those without a deadline, where it ends by
// itself.
#include "policies/batch.hpp"
#include "policies/policy.hpp"

namespace {

class EarliestDeadline {
  public:
    explicit EarliestDeadline(troupe::PolicyOptions& options)
        : slack_us_(1e3 * options.number("slack_ms", 0, 0, 1e7)) {}

    void decide(const troupe::PolicyView& view, troupe::PolicyDecision& decision) const {
        troupe::Batch batch(view, decision);
        batch.run(batch.running_by_arrival());
        if (batch.has_preempted() || batch.full()) return;
        batch.admit(troupe::WaitingQueue(view, [&](const troupe::PolicySequence& sequence) {
            if (sequence.deadline_us == 0) return none;
            const double left = static_cast<double>(sequence.deadline_us - view.now_us);
            return left < slack_us_ ? late : left;
        }));
    }
    void on_event(const troupe::PolicyEvent&) {}

  private:
    static constexpr double none = 1e18, late = 2e18;
    double slack_us_;
};

}  // namespace

TROUPE_POLICY(EarliestDeadline)
