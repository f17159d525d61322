// The scheduler's picture of one sequence. No text, no callbacks, no tensors; owned by the Scheduler machine.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/ids.hpp"
#include "core/prefix_match.hpp"
#include "core/sampling_params.hpp"

namespace troupe {

// What a request actor submits, first and again after a loss: then tokens holds what was generated too.
struct SequenceSpec {
    SequenceId id = 0;
    std::uint64_t tenant = 0;
    TimeUs arrival = 0;         // of the request, unchanged by resubmission: it keeps its place in the order
    std::int32_t priority = 0;  // smaller is more urgent, as in vLLM
    TimeUs deadline = 0;        // 0: none
    TimeUs ttft_target = 0;     // from arrival to the first token, for the policy; 0: none
    TimeUs tpot_target = 0;     // between tokens after it, on average; 0: none
    std::vector<TokenId> tokens;  // prompt, then what was already generated
    std::uint32_t num_prompt_tokens = 0;
    SamplingParams sampling;
    StopParams stop;
    std::uint32_t oracle_tokens = 0;  // how many it will generate, which only a simulation knows; 0: unknown
    std::string cache_salt;  // KV is shared under equal salts only: what else it depends on, and whose it is

    bool operator==(const SequenceSpec&) const = default;
};

enum class SequenceStatus : std::uint8_t { waiting, running, preempted };

struct Sequence {
    SequenceSpec spec;  // spec.tokens grows as tokens are sampled
    SequenceStatus status = SequenceStatus::waiting;
    std::uint32_t num_computed_tokens = 0;   // with KV, by completed steps
    std::uint32_t num_scheduled_tokens = 0;  // beyond those, by steps in flight
    std::uint32_t num_pending_samples = 0;  // tokens that steps in flight will sample: not in spec.tokens yet
    std::uint32_t num_preemptions = 0;
    std::uint32_t num_worker_deaths = 0;  // it was in a step for, since its last token
    TimeUs first_token_time = 0;          // 0: none yet, or before it was submitted again
    TimeUs last_token_time = 0;
    std::uint32_t block_table = 0;  // handle in the KvCacheManager; meaningful while running
    PrefixMatch prefix;             // what it would take from the cache; meaningful while it does not run
    PrefixMatch below;              // what lies in the tiers below the pool
};

}  // namespace troupe
