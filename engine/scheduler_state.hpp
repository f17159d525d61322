// What the Scheduler knows: sequences, blocks, steps in flight. Shared by scheduler.cpp (events) and
// planner.cpp (plans); nobody else includes it.
#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/sequence.hpp"
#include "core/step_plan.hpp"
#include "engine/cost_model.hpp"
#include "engine/scheduler.hpp"
#include "engine/swapper.hpp"
#include "kvcache/kv_cache_manager.hpp"

namespace troupe {

// A sequence that saw this many of its worker's deaths in a row runs alone (design, law 7).
constexpr std::uint32_t deaths_to_run_alone = 2;

// What a row's result is still good for. A preempted sequence keeps the token that a step in flight samples,
// though the KV is gone; one that has ended or was replaced by a new submission takes nothing.
enum class RowFate : std::uint8_t { live, kv_lost, dropped };

struct InFlightRow {
    SequenceId id = 0;
    Sequence* sequence = nullptr;  // there unless it was dropped
    std::uint32_t num_new_tokens = 0;
    RowKind kind = RowKind::chunk;
    RowFate fate = RowFate::live;
};

struct InFlightStep {
    StepId step = 0;
    std::vector<InFlightRow> rows;
    std::uint64_t num_tokens = 0;
    std::uint64_t context_tokens = 0;
};

struct SchedulerState {
    explicit SchedulerState(SchedulerOptions frozen)
        : options(std::move(frozen)),
          kv({.num_blocks = options.num_blocks, .block_size = options.block_size}),
          last_step(options.first_step - 1) {}

    Sequence* find(SequenceId id);
    Sequence& insert(SequenceSpec spec);
    // Forgets it. Its blocks go back, and the next plan tells the worker; rows in flight lose their
    // addressee.
    void erase(Sequence& sequence);
    // Back to the queue without its blocks; keeps its tokens, those that steps in flight sample included.
    void preempt(Sequence& sequence);
    // A step has computed its next tokens: full blocks of them can be found by others from now on.
    void complete_row(Sequence& sequence, std::uint32_t num_tokens);
    // What it has computed goes to the tiers below, before it gives up its blocks.
    void save(const Sequence& sequence, Swapper::Wish wish, TimeUs now);
    void mark_rows(SequenceId id, RowFate fate);

    // It can end there at the latest, prompt and generated together.
    std::uint32_t max_len(const SequenceSpec& spec) const;
    // Blocks it can hold at most: its last token needs no KV.
    std::uint32_t max_blocks(const SequenceSpec& spec) const { return kv.blocks_for(max_len(spec) - 1); }

    SchedulerOptions options;
    KvCacheManager kv;
    std::map<SequenceId, Sequence> sequences;
    std::vector<Sequence*> by_arrival;   // all of them, by (arrival, id)
    std::vector<SequenceId> to_remove;   // known to the worker and no longer running
    std::deque<InFlightStep> in_flight;  // oldest first
    CostModel cost_model;
    Swapper swapper{options, kv, cost_model};
    Epoch epoch = 0;
    bool worker_ready = false;
    StepId last_step;                       // planned
    std::uint64_t plans_without_token = 0;  // in a row
    SchedulerStats totals;                  // its counters only
    std::string last_rejection;

  private:
    std::vector<Sequence*>::iterator place_of(const SequenceSpec& spec);
    void free_blocks(Sequence& sequence);
};

// How many tokens of a sequence, known or pending, have neither KV nor a step in flight that computes it.
inline std::uint32_t remaining_tokens(const Sequence& sequence) {
    return static_cast<std::uint32_t>(sequence.spec.tokens.size()) + sequence.num_pending_samples -
           sequence.num_computed_tokens - sequence.num_scheduled_tokens;
}

// Then each token of its prompt has to be computed, whatever the cache holds.
inline bool needs_prompt_logits(const SequenceSpec& spec) { return spec.sampling.prompt_logprobs >= 0; }

// The tokens whose KV it can take from others. The last one it computes itself, to draw what comes next; if
// the logits of its prompt are wanted, all of them: KV comes without logits.
inline std::span<const TokenId> shareable_tokens(const Sequence& sequence) {
    if (needs_prompt_logits(sequence.spec)) return {};
    return {sequence.spec.tokens.data(), sequence.spec.tokens.size() - 1};
}

inline std::uint32_t num_generated(const Sequence& sequence) {
    return static_cast<std::uint32_t>(sequence.spec.tokens.size()) - sequence.spec.num_prompt_tokens;
}

}  // namespace troupe
