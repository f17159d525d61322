#include "policies/sjf.hpp"

#include <algorithm>
#include <cstdint>
#include <map>

#include "policies/batch.hpp"
#include "policies/length_predictor.hpp"
#include "policies/overdue.hpp"
#include "policies/policy.hpp"

namespace troupe {
namespace {

class Sjf {
  public:
    explicit Sjf(PolicyOptions& options) : bound_(options, 60), oracle_(options.flag("oracle", false)) {}

    void decide(const PolicyView& view, PolicyDecision& decision) {
        Batch batch(view, decision);
        // The order matters only where somebody is to be preempted; predictions take their time.
        batch.run(batch.blocks_suffice() ? batch.running_by_arrival()
                                         : batch.running_by([&](const PolicySequence& sequence) {
                                               return work(view, sequence);
                                           }));
        if (batch.has_preempted() || batch.full()) return;
        batch.admit(WaitingQueue(view, [&](const PolicySequence& sequence) {
            return bound_.overdue(view, sequence) ? WaitBound::first : work(view, sequence);
        }));
    }

    void on_event(const PolicyEvent& event) {
        if (event.kind == POLICY_EVENT_ARRIVED) {
            prompts_[event.sequence] = static_cast<std::uint32_t>(event.value);
        } else if (event.kind == POLICY_EVENT_FINISHED) {
            const auto prompt = prompts_.find(event.sequence);
            if (prompt == prompts_.end()) return;  // it was there before this policy
            predictor_.observe(event.tenant, prompt->second, static_cast<std::uint32_t>(event.value));
            prompts_.erase(prompt);
        }
    }

  private:
    double outputs_left(const PolicySequence& sequence) const {
        if (oracle_ && sequence.oracle_tokens > 0) {
            const std::uint32_t left =
                sequence.oracle_tokens - std::min(sequence.oracle_tokens, sequence.generated_tokens);
            return std::max(1U, left);
        }
        return predictor_.remaining(sequence.tenant, sequence.prompt_tokens, sequence.generated_tokens,
                                    sequence.max_tokens);
    }
    double work(const PolicyView& view, const PolicySequence& sequence) const {
        const double base = view.step_cost_base_us;
        const bool known = base + view.step_cost_per_token_us > 0;
        const double token = known ? view.step_cost_per_token_us : 1;
        return remaining_tokens(sequence) * token +
               outputs_left(sequence) * (base + token * std::max(1U, view.num_running));
    }

    WaitBound bound_;
    bool oracle_;
    LengthPredictor predictor_;
    std::map<std::uint64_t, std::uint32_t> prompts_;  // tokens of each live sequence's prompt
};

}  // namespace

const PolicyTable& sjf_policy() { return PolicyAdapter<Sjf>::table(); }

}  // namespace troupe
