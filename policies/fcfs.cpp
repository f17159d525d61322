#include "policies/fcfs.hpp"

#include <algorithm>
#include <vector>

namespace troupe {
namespace {

// One decision in the making. Sequences come by (arrival, id), so "later in the view" is "arrived later".
// Among those that wait, the more urgent are admitted first; what runs is not preempted for them.
class Fcfs {
  public:
    Fcfs(const PolicyView& view, PolicyDecision& decision)
        : view_(view),
          decision_(decision),
          tokens_(view.token_budget),
          free_blocks_(view.free_blocks),
          running_(view.num_running) {}

    void decide() {
        schedule_running();
        // After a preemption blocks are short: admitting now would only bring the next one.
        if (decision_.num_victims == 0) admit_waiting();
    }

  private:
    static std::uint32_t known(const PolicySequence& sequence) {
        return sequence.prompt_tokens + sequence.generated_tokens;
    }
    // Tokens it could be given in this step.
    static std::uint32_t remaining(const PolicySequence& sequence) {
        if (sequence.generated_tokens >= sequence.max_tokens) return 0;
        return known(sequence) - sequence.computed_tokens;
    }
    std::uint32_t blocks_for(std::uint64_t tokens) const {
        return static_cast<std::uint32_t>((tokens + view_.block_size - 1) / view_.block_size);
    }
    // Blocks it must get beyond those it holds to have KV for that many tokens.
    std::uint32_t missing(const PolicySequence& sequence, std::uint32_t tokens) const {
        const std::uint32_t wanted = blocks_for(tokens);
        return wanted > sequence.blocks_held ? wanted - sequence.blocks_held : 0;
    }

    void schedule_running() {
        std::uint32_t decoding = 0;
        for (std::uint32_t i = 0; i < view_.num_sequences; ++i) {
            const PolicySequence& sequence = view_.sequences[i];
            if (sequence.state == POLICY_RUNNING && remaining(sequence) == 1) ++decoding;
        }
        // Decoding comes first, but the oldest always gets on, or two could wait for each other's blocks.
        std::uint32_t prefill_tokens = tokens_ - std::min(tokens_, decoding);
        std::uint32_t oldest_share = 1;
        end_ = view_.num_sequences;
        for (std::uint32_t i = 0; i < end_; ++i) {
            const PolicySequence& sequence = view_.sequences[i];
            if (sequence.state != POLICY_RUNNING) continue;
            const std::uint32_t wanted = remaining(sequence);
            const std::uint32_t granted =
                std::min(wanted, wanted == 1 ? tokens_ : std::max(prefill_tokens, oldest_share));
            if (wanted > 0) oldest_share = 0;
            const std::uint32_t blocks = missing(sequence, sequence.computed_tokens + granted);
            const bool given = granted > 0 && make_room(i, blocks);
            if (given) {
                add_row(i, granted, blocks);
                if (wanted > 1) prefill_tokens -= std::min(prefill_tokens, granted);
            }
            committed_ += missing(sequence, known(sequence)) - (given ? blocks : 0);
        }
    }

    // Preempts those that arrived last until `blocks` are free; false if without all later ones they still
    // are not.
    bool make_room(std::uint32_t index, std::uint32_t blocks) {
        while (blocks > free_blocks_) {
            do --end_;
            while (end_ > index && view_.sequences[end_].state != POLICY_RUNNING);
            if (end_ == index) {
                ++end_;
                return false;
            }
            decision_.victims[decision_.num_victims++] = end_;
            free_blocks_ += view_.sequences[end_].blocks_held;
            --running_;
        }
        return true;
    }

    // Indices of those that wait, by (priority, arrival).
    std::vector<std::uint32_t> waiting() const {
        std::vector<std::uint32_t> indices;
        const auto priority = [&](std::uint32_t i) { return view_.sequences[i].priority; };
        for (std::uint32_t i = 0; i < view_.num_sequences; ++i) {
            if (view_.sequences[i].state != POLICY_RUNNING) indices.push_back(i);
        }
        std::stable_sort(indices.begin(), indices.end(),
                         [&](std::uint32_t a, std::uint32_t b) { return priority(a) < priority(b); });
        return indices;
    }

    void admit_waiting() {
        if (tokens_ == 0 || running_ >= view_.max_sequences) return;
        for (const std::uint32_t i : waiting()) {
            if (tokens_ == 0 || running_ >= view_.max_sequences) break;
            const PolicySequence& sequence = view_.sequences[i];
            if (remaining(sequence) == 0) continue;
            const std::uint32_t shared = sequence.cached_prefix_tokens / view_.block_size;
            const std::uint32_t whole = blocks_for(known(sequence)) - shared;
            const std::uint32_t at_most =
                blocks_for(std::uint64_t{sequence.prompt_tokens} + sequence.max_tokens - 1) - shared;
            if (std::min(whole + 1, at_most) + sequence.cached_free_blocks + committed_ > free_blocks_) break;
            const std::uint32_t granted = std::min(remaining(sequence), tokens_);
            const std::uint32_t blocks = blocks_for(sequence.computed_tokens + granted) - shared;
            add_row(i, granted, blocks + sequence.cached_free_blocks);
            committed_ += whole - blocks;
            ++running_;
        }
    }

    void add_row(std::uint32_t index, std::uint32_t tokens, std::uint32_t blocks) {
        decision_.rows[decision_.num_rows++] = {index, tokens};
        tokens_ -= tokens;
        free_blocks_ -= blocks;
    }

    const PolicyView& view_;
    PolicyDecision& decision_;
    std::uint32_t tokens_;         // left of the budget
    std::uint32_t free_blocks_;    // left
    std::uint32_t running_;        // after this decision
    std::uint32_t committed_ = 0;  // blocks that running sequences still need for the tokens they know
    std::uint32_t end_ = 0;        // running sequences from here on are preempted
};

std::int32_t decide(void*, const PolicyView* view, PolicyDecision* decision) {
    Fcfs(*view, *decision).decide();
    return 0;
}

void* create(const char*, char*, std::uint32_t) { return nullptr; }
void destroy(void*) {}

}  // namespace

const PolicyTable& fcfs_policy() {
    static const PolicyTable table = {
        TROUPE_POLICY_ABI_VERSION, sizeof(PolicyTable), create, destroy, decide, nullptr};
    return table;
}

}  // namespace troupe
