#include "policies/slo.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "policies/batch.hpp"
#include "policies/policy.hpp"

namespace troupe {
namespace {

constexpr double margin = 0.95;  // of a TPOT target that is planned for: steps take a little longer at times
constexpr double unlimited = std::numeric_limits<double>::infinity();

// The view's cost model with the running batch put in.
class StepCosts {
  public:
    explicit StepCosts(const PolicyView& view)
        : base_(view.step_cost_base_us),
          token_(view.step_cost_per_token_us),
          context_(view.step_cost_per_context_token_us) {}

    bool known() const { return base_ + token_ + context_ > 0; }
    double step(double tokens, double context) const { return base_ + token_ * tokens + context_ * context; }
    // How many tokens take that long beside `context` tokens of context.
    double tokens_in(double us, double context) const {
        if (us == unlimited || token_ <= 0) return unlimited;
        return std::max(0.0, (us - base_ - context_ * context) / token_);
    }

  private:
    double base_, token_, context_;
};

class Slo {
  public:
    explicit Slo(PolicyOptions& options)
        : ttft_us_(1e3 * options.number("ttft_ms", 0, 0, 1e9)),
          tpot_us_(1e3 * options.number("tpot_ms", 0, 0, 1e9)),
          patience_us_(1e6 * options.number("patience", 60, 0, 86400)),
          shed_(options.flag("shed", false)) {}

    void decide(const PolicyView& view, PolicyDecision& decision) {
        const StepCosts costs(view);
        double limit = unlimited;  // microseconds of a step
        double context = 0;        // tokens, of all that run
        for (std::uint32_t i = 0; i < view.num_sequences; ++i) {
            const PolicySequence& sequence = view.sequences[i];
            if (sequence.state != POLICY_RUNNING) continue;
            context += sequence.computed_tokens;
            if (sequence.generated_tokens > 0) limit = std::min(limit, step_limit(costs, sequence));
        }
        Batch batch(view, decision);
        const double beside = costs.tokens_in(limit, context) - batch.decoding();
        const auto chunk =
            static_cast<std::uint32_t>(std::clamp(beside, 0.0, static_cast<double>(view.token_budget)));
        batch.run(batch.running_by([&](const PolicySequence& sequence) { return run_key(view, sequence); }),
                  chunk);
        std::uint32_t prompt_tokens = chunk - std::min(chunk, prompt_tokens_given(view, decision));
        if (batch.has_preempted()) return;
        admit(view, batch, {costs, limit, context, prompt_tokens});
    }
    void on_event(const PolicyEvent&) {}

  private:
    // What is left of a step while it is filled.
    struct Room {
        StepCosts costs;
        double limit;
        double context;
        std::uint32_t prompt_tokens;
    };

    double ttft(const PolicySequence& sequence) const {
        return sequence.ttft_target_us > 0 ? static_cast<double>(sequence.ttft_target_us) : ttft_us_;
    }
    double step_limit(const StepCosts& costs, const PolicySequence& sequence) const {
        const double target =
            sequence.tpot_target_us > 0 ? static_cast<double>(sequence.tpot_target_us) : tpot_us_;
        const bool can_be_kept = costs.step(1, known_tokens(sequence)) <= margin * target;
        return target > 0 && can_be_kept ? margin * target : unlimited;
    }
    // When its first token is due.
    double due(const PolicySequence& sequence) const {
        const double target = ttft(sequence);
        return static_cast<double>(sequence.arrival_us) + (target > 0 ? target : patience_us_);
    }
    // Those that decode come before prompts.
    double run_key(const PolicyView& view, const PolicySequence& sequence) const {
        return sequence.generated_tokens > 0 ? static_cast<double>(sequence.arrival_us - view.now_us) - 1e15
                                             : due(sequence) - static_cast<double>(view.now_us);
    }
    double wait_key(const PolicyView& view, const PolicySequence& sequence) const {
        const double now = static_cast<double>(view.now_us);
        if (now - static_cast<double>(sequence.arrival_us) > patience_us_) return -1e15;
        const double left = due(sequence) - now;
        return left < 0 ? left + 1e15 : left;
    }
    static std::uint32_t prompt_tokens_given(const PolicyView& view, const PolicyDecision& decision) {
        std::uint32_t tokens = 0;
        for (std::uint32_t i = 0; i < decision.num_rows; ++i) {
            const PolicyRow& row = decision.rows[i];
            if (remaining_tokens(view.sequences[row.sequence]) > 1) tokens += row.num_tokens;
        }
        return tokens;
    }

    void admit(const PolicyView& view, Batch& batch, Room room) const {
        const std::vector<bool> refused = shed(view, batch, room);
        if (batch.full() || room.prompt_tokens == 0) return;
        WaitingQueue queue(view, [&](const PolicySequence& sequence) { return wait_key(view, sequence); });
        for (; !queue.empty(); queue.pop()) {
            const std::uint32_t index = queue.top();
            const PolicySequence& sequence = view.sequences[index];
            if (remaining_tokens(sequence) == 0) continue;
            if (shed_ && refused[index]) continue;
            if (batch.full() || room.prompt_tokens == 0) return;
            if (!fits_batch(batch, room, sequence)) {
                if (wait_key(view, sequence) == -1e15)
                    return;  // waited for long: the batch is to shrink for it
                continue;
            }
            const std::uint32_t tokens =
                std::min({remaining_tokens(sequence), room.prompt_tokens, batch.tokens()});
            if (!batch.admit(index, room.prompt_tokens)) return;
            room.prompt_tokens -= tokens;
            room.context += known_tokens(sequence);
            room.limit = std::min(room.limit, step_limit(room.costs, sequence));
        }
    }
    // Refuses those that cannot make it any more.
    std::vector<bool> shed(const PolicyView& view, Batch& batch, const Room& room) const {
        if (!shed_) return {};
        std::vector<bool> refused(view.num_sequences, false);
        for (std::uint32_t i = 0; i < view.num_sequences; ++i) {
            if (!hopeless(view, room, view.sequences[i])) continue;
            refused[i] = true;
            batch.shed(i);
        }
        return refused;
    }
    // Whether all could still decode within their targets with this one among them.
    bool fits_batch(const Batch& batch, const Room& room, const PolicySequence& sequence) const {
        if (batch.running() == 0) return true;
        const double limit = std::min(room.limit, step_limit(room.costs, sequence));
        return room.costs.step(batch.running() + 1, room.context + known_tokens(sequence)) <= limit;
    }
    bool hopeless(const PolicyView& view, const Room& room, const PolicySequence& sequence) const {
        const bool may_be_shed = sequence.state == POLICY_WAITING && sequence.generated_tokens == 0;
        if (!shed_ || !may_be_shed || ttft(sequence) <= 0 || !room.costs.known()) return false;
        const double tokens = remaining_tokens(sequence);
        const double chunk = std::clamp(room.costs.tokens_in(room.limit, room.context), 1.0,
                                        static_cast<double>(view.token_budget));
        const double steps = std::ceil(tokens / chunk);
        const double needed =
            steps * room.costs.step(0, 0) + room.costs.step(tokens, 0) - room.costs.step(0, 0);
        return static_cast<double>(view.now_us) + needed > due(sequence);
    }

    double ttft_us_, tpot_us_, patience_us_;
    bool shed_;
};

}  // namespace

const PolicyTable& slo_policy() { return PolicyAdapter<Slo>::table(); }

}  // namespace troupe
