// One decision in the making, and the arithmetic of tokens, places and blocks that all policies stand on: the
// built-in ones differ in the orders that they give to it. Header only, so that plug-ins have it, too.
#pragma once
#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "policies/policy_abi.h"

namespace troupe {

// Tokens that exist: its prompt and what it has generated.
inline std::uint32_t known_tokens(const PolicySequence& sequence) {
    return sequence.prompt_tokens + sequence.generated_tokens;
}
// Tokens that it could be given in this step; 1: it decodes.
inline std::uint32_t remaining_tokens(const PolicySequence& sequence) {
    if (sequence.generated_tokens >= sequence.max_tokens) return 0;
    return known_tokens(sequence) - sequence.computed_tokens;
}

// Sequences that wait (preempted ones included) by a key, smallest first; equal ones as they arrived. Sorted
// only as far as they are taken: most stay where they are.
class WaitingQueue {
  public:
    // `key`: a number of a PolicySequence; not NaN.
    template <class Key>
    WaitingQueue(const PolicyView& view, Key key) {
        heap_.reserve(view.num_sequences - view.num_running);
        for (std::uint32_t i = 0; i < view.num_sequences; ++i) {
            const PolicySequence& sequence = view.sequences[i];
            if (sequence.state != POLICY_RUNNING) heap_.push_back({static_cast<double>(key(sequence)), i});
        }
        std::make_heap(heap_.begin(), heap_.end());
    }
    bool empty() const { return heap_.empty(); }
    // Index into the view; precondition: !empty().
    std::uint32_t top() const { return heap_.front().index; }
    void pop() {
        std::pop_heap(heap_.begin(), heap_.end());
        heap_.pop_back();
    }

  private:
    struct Entry {
        double key;
        std::uint32_t index;
        // Heaps have the largest on top, and that is the one that goes first.
        bool operator<(const Entry& other) const {
            return key != other.key ? key > other.key : index > other.index;
        }
    };
    std::vector<Entry> heap_;
};

// Rows and victims are named by their index into the view.
class Batch {
  public:
    static constexpr std::uint32_t all = std::numeric_limits<std::uint32_t>::max();

    // Both must outlive it; the decision comes empty.
    Batch(const PolicyView& view, PolicyDecision& decision)
        : view_(view),
          decision_(decision),
          tokens_(view.token_budget),
          free_blocks_(view.free_blocks),
          running_(view.num_running) {
        for (std::uint32_t i = 0; i < view.num_sequences; ++i) {
            const PolicySequence& sequence = view.sequences[i];
            if (sequence.state != POLICY_RUNNING) continue;
            if (remaining_tokens(sequence) == 1) ++decoding_;
            committed_ += missing(sequence, known_tokens(sequence));
        }
    }

    std::uint32_t tokens() const { return tokens_; }      // left of the budget
    std::uint32_t decoding() const { return decoding_; }  // running sequences that want one token
    std::uint32_t running() const { return running_; }    // after this decision
    // What the budget leaves for prompts if every decoding sequence gets its token.
    std::uint32_t tokens_for_prompts() const { return tokens_ - std::min(tokens_, decoding_); }
    // Every running sequence can have all its tokens: nobody will be preempted.
    bool blocks_suffice() const { return committed_ <= free_blocks_; }
    bool has_preempted() const { return decision_.num_victims > 0; }

    // Running sequences by a key, smallest first, equal ones as they arrived; but first of all the one that
    // arrived first, which the engine lets be preempted for more urgent ones only: it has to get on, or two
    // could wait for each other's blocks.
    template <class Key>
    std::vector<std::uint32_t> running_by(Key key) const {
        std::vector<std::uint32_t> order = running_by_arrival();
        if (order.size() < 2) return order;
        std::vector<double> keys(view_.num_sequences);
        for (const std::uint32_t i : order) keys[i] = static_cast<double>(key(view_.sequences[i]));
        std::stable_sort(order.begin() + 1, order.end(),
                         [&](std::uint32_t a, std::uint32_t b) { return keys[a] < keys[b]; });
        return order;
    }
    std::vector<std::uint32_t> running_by_arrival() const {
        std::vector<std::uint32_t> order;
        order.reserve(view_.num_running);
        for (std::uint32_t i = 0; i < view_.num_sequences; ++i) {
            if (view_.sequences[i].state == POLICY_RUNNING) order.push_back(i);
        }
        return order;
    }

    // Rows for running sequences in this order: one token for each that decodes, at most `prompt_limit` in
    // all for prompts (and recomputed tokens), but at least one for the first. Where blocks are missing,
    // those at the end of the order are preempted for the earlier ones.
    void run(std::vector<std::uint32_t> order, std::uint32_t prompt_limit = all) {
        std::uint32_t prompt_tokens = std::min(prompt_limit, tokens_for_prompts());
        std::uint32_t first_share = 1;
        for (std::size_t at = 0; at < order.size(); ++at) {
            const PolicySequence& sequence = view_.sequences[order[at]];
            const std::uint32_t wanted = remaining_tokens(sequence);
            if (wanted == 0) continue;
            const std::uint32_t share = wanted == 1 ? 1 : std::max(prompt_tokens, first_share);
            const std::uint32_t granted = std::min({wanted, share, tokens_});
            first_share = 0;
            if (granted == 0) continue;
            const std::uint32_t blocks = missing(sequence, sequence.computed_tokens + granted);
            if (!make_room(order, at, blocks)) continue;
            add_row(order[at], granted, blocks);
            committed_ -= blocks;
            if (wanted > 1) prompt_tokens -= std::min(prompt_tokens, granted);
        }
    }

    // Nothing more can be admitted to this step.
    bool full() const { return tokens_ == 0 || running_ >= view_.max_sequences; }
    // Blocks that are missing before it can be admitted; 0: it fits. All that it knows plus one block must
    // fit beside what the running ones still need for their own tokens, or it would soon be preempted again.
    std::uint32_t blocks_short(std::uint32_t index) const {
        const PolicySequence& sequence = view_.sequences[index];
        const std::uint64_t wanted = std::min(whole(sequence) + 1, at_most(sequence)) + committed_ +
                                     std::uint64_t{sequence.cached_free_blocks};
        return wanted > free_blocks_ ? static_cast<std::uint32_t>(wanted - free_blocks_) : 0;
    }
    // A row of at most `limit` tokens for a sequence that waits; false if it does not fit. Precondition:
    // !full(). One without work is passed over.
    bool admit(std::uint32_t index, std::uint32_t limit = all) {
        const PolicySequence& sequence = view_.sequences[index];
        const std::uint32_t granted = std::min({remaining_tokens(sequence), limit, tokens_});
        if (granted == 0) return true;
        if (blocks_short(index) > 0) return false;
        const std::uint32_t blocks =
            blocks_for(std::uint64_t{sequence.computed_tokens} + granted) - shared(sequence);
        committed_ += whole(sequence) - blocks;
        add_row(index, granted, blocks + sequence.cached_free_blocks);
        ++running_;
        return true;
    }
    // In the order of the queue until one does not fit: those behind it wait, or it could wait for ever.
    void admit(WaitingQueue queue) {
        while (!queue.empty() && !full() && admit(queue.top())) queue.pop();
    }

    // Blocks that its preemption makes available to others.
    std::uint32_t blocks_gained(std::uint32_t index) const {
        const PolicySequence& sequence = view_.sequences[index];
        return sequence.blocks_held + missing(sequence, known_tokens(sequence));
    }
    // Precondition: it runs and has no row yet.
    void preempt(std::uint32_t index) {
        const PolicySequence& sequence = view_.sequences[index];
        decision_.victims[decision_.num_victims++] = index;
        free_blocks_ += sequence.blocks_held;
        committed_ -= missing(sequence, known_tokens(sequence));
        if (remaining_tokens(sequence) == 1) --decoding_;
        --running_;
    }
    // Refuses it; precondition: it waits and has generated nothing.
    void shed(std::uint32_t index) { decision_.shed[decision_.num_shed++] = index; }

  private:
    std::uint32_t blocks_for(std::uint64_t tokens) const {
        return static_cast<std::uint32_t>((tokens + view_.block_size - 1) / view_.block_size);
    }
    // Blocks that one that runs must get beyond those it has to have KV for that many tokens.
    std::uint32_t missing(const PolicySequence& sequence, std::uint64_t tokens) const {
        const std::uint32_t wanted = blocks_for(tokens), has = blocks_for(sequence.computed_tokens);
        return wanted > has ? wanted - has : 0;
    }
    // Of one that waits: blocks that it shares, needs beside them for all it knows, and can need at most.
    std::uint32_t shared(const PolicySequence& sequence) const {
        return sequence.cached_prefix_tokens / view_.block_size;
    }
    std::uint32_t whole(const PolicySequence& sequence) const {
        return blocks_for(known_tokens(sequence)) - shared(sequence);
    }
    std::uint32_t at_most(const PolicySequence& sequence) const {
        return blocks_for(std::uint64_t{sequence.prompt_tokens} + sequence.max_tokens - 1) - shared(sequence);
    }

    bool make_room(std::vector<std::uint32_t>& order, std::size_t at, std::uint32_t blocks) {
        while (blocks > free_blocks_ && order.size() > at + 1) {
            preempt(order.back());
            order.pop_back();
        }
        return blocks <= free_blocks_;
    }
    void add_row(std::uint32_t index, std::uint32_t tokens, std::uint32_t blocks) {
        decision_.rows[decision_.num_rows++] = {index, tokens};
        tokens_ -= tokens;
        free_blocks_ -= blocks;
    }

    const PolicyView& view_;
    PolicyDecision& decision_;
    std::uint32_t tokens_;
    std::uint32_t free_blocks_;  // left
    std::uint32_t running_;
    std::uint32_t decoding_ = 0;
    std::uint32_t committed_ = 0;  // blocks that running sequences still need for the tokens they know
};

}  // namespace troupe
