#include "policies/priority.hpp"

#include <cstdint>
#include <vector>

#include "policies/batch.hpp"
#include "policies/policy.hpp"

namespace troupe {
namespace {

class Priority {
  public:
    explicit Priority(PolicyOptions& options)
        : ageing_us_(1e6 * options.number("ageing", 30, 0.001, 86400)) {}

    void decide(const PolicyView& view, PolicyDecision& decision) {
        const auto key_of = [this](const PolicySequence& sequence) { return key(sequence); };
        Batch batch(view, decision);
        std::vector<std::uint32_t> order = batch.running_by_arrival();
        std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
            return key(view.sequences[a]) < key(view.sequences[b]);
        });
        WaitingQueue queue(view, key_of);
        admit_urgent(view, batch, order, queue);
        const bool short_of_blocks = run(batch, order);
        if (!short_of_blocks) batch.admit(std::move(queue));
    }
    void on_event(const PolicyEvent&) {}

  private:
    double key(const PolicySequence& sequence) const {
        return sequence.priority * ageing_us_ + static_cast<double>(sequence.arrival_us);
    }
    bool may_preempt(const PolicySequence& one, const PolicySequence& other) const {
        return one.priority < other.priority && key(one) < key(other);
    }

    // Those that may preempt the last of the running ones get their rows before these, and their places if
    // need be. Decoding is not held up, prompts ahead of theirs go first.
    void admit_urgent(const PolicyView& view, Batch& batch, std::vector<std::uint32_t>& order,
                      WaitingQueue& queue) const {
        while (!queue.empty() && !order.empty()) {
            const std::uint32_t index = queue.top();
            const PolicySequence& sequence = view.sequences[index];
            if (!may_preempt(sequence, view.sequences[order.back()])) return;
            std::uint32_t tokens = batch.tokens_for_prompts();
            for (const std::uint32_t i : order) {
                if (key(view.sequences[i]) > key(sequence)) break;
                const std::uint32_t wanted = remaining_tokens(view.sequences[i]);
                if (wanted > 1) tokens -= std::min(tokens, wanted);
            }
            if (remaining_tokens(sequence) > 0) {
                if (tokens == 0 || !make_room(view, batch, order, index)) return;
                batch.admit(index, tokens);
            }
            queue.pop();
        }
    }

    // Preempts for it, but only if that is enough.
    bool make_room(const PolicyView& view, Batch& batch, std::vector<std::uint32_t>& order,
                   std::uint32_t index) const {
        const std::uint32_t blocks = batch.blocks_short(index);
        std::uint64_t gained = 0;
        std::size_t left = order.size();
        while (gained < blocks || batch.running() - (order.size() - left) >= view.max_sequences) {
            if (left == 0 || !may_preempt(view.sequences[index], view.sequences[order[left - 1]]))
                return false;
            gained += batch.blocks_gained(order[--left]);
        }
        for (; order.size() > left; order.pop_back()) batch.preempt(order.back());
        return true;
    }

    static bool run(Batch& batch, const std::vector<std::uint32_t>& order) {
        const std::uint32_t before = batch.running();
        batch.run(order);
        return batch.running() < before;
    }

    double ageing_us_;
};

}  // namespace

const PolicyTable& priority_policy() { return PolicyAdapter<Priority>::table(); }

}  // namespace troupe
