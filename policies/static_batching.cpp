#include "policies/static_batching.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "policies/batch.hpp"
#include "policies/policy.hpp"

namespace troupe {
namespace {

class StaticBatching {
  public:
    explicit StaticBatching(PolicyOptions& options)
        : batch_size_(static_cast<std::uint32_t>(options.number("batch_size", 0, 0, 1e6))) {}

    void decide(const PolicyView& view, PolicyDecision& decision) {
        if (view.num_running == 0) gather(view);
        Batch batch(view, decision);
        std::vector<std::uint32_t> reading;  // prompts that are not computed yet
        std::vector<std::uint32_t> to_admit;
        for (std::uint32_t i = 0; i < view.num_sequences; ++i) {
            const PolicySequence& sequence = view.sequences[i];
            if (sequence.state == POLICY_RUNNING) {
                if (remaining_tokens(sequence) > 1 || sequence.generated_tokens == 0) reading.push_back(i);
            } else if (std::binary_search(members_.begin(), members_.end(), sequence.id)) {
                to_admit.push_back(i);
            }
        }
        const bool decoding = reading.empty() && to_admit.empty();
        batch.run(decoding ? batch.running_by_arrival() : reading);
        for (const std::uint32_t i : to_admit) {
            if (batch.full() || !batch.admit(i)) break;
        }
    }
    void on_event(const PolicyEvent& event) {
        if (event.kind == POLICY_EVENT_FINISHED) leave(event.sequence);
        if (event.kind == POLICY_EVENT_WORKER_LOST)
            members_.clear();  // none runs: the next batch is gathered anew
    }

  private:
    void gather(const PolicyView& view) {
        members_.clear();
        const std::uint32_t places =
            batch_size_ == 0 ? view.max_sequences : std::min(batch_size_, view.max_sequences);
        std::uint64_t free_blocks = view.free_blocks;
        for (std::uint32_t i = 0; i < view.num_sequences && members_.size() < places; ++i) {
            const PolicySequence& sequence = view.sequences[i];
            if (remaining_tokens(sequence) == 0) continue;
            const std::uint64_t tokens = std::uint64_t{sequence.prompt_tokens} + sequence.max_tokens - 1;
            const std::uint64_t blocks = (tokens + view.block_size - 1) / view.block_size;
            if (blocks > free_blocks) break;
            free_blocks -= blocks;
            members_.push_back(sequence.id);
        }
        std::sort(members_.begin(), members_.end());
    }
    void leave(std::uint64_t id) {
        const auto found = std::lower_bound(members_.begin(), members_.end(), id);
        if (found != members_.end() && *found == id) members_.erase(found);
    }

    std::uint32_t batch_size_;
    std::vector<std::uint64_t> members_;  // ids of the batch, sorted
};

}  // namespace

const PolicyTable& static_policy() { return PolicyAdapter<StaticBatching>::table(); }

}  // namespace troupe
