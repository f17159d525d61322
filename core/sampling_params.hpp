// How one sequence draws its tokens and when it ends. Every field is resolved (no optionals): defaults of the
// model and an absent seed are filled in at admission, so that a restarted sequence draws the same tokens.
#pragma once
#include <cstdint>
#include <vector>

#include "core/ids.hpp"

namespace troupe {

// What the worker needs to turn logits into a token. The draw at a position is a pure function of
// (seed, choice, position), so it does not depend on batch, worker or restarts.
struct SamplingParams {
    float temperature = 1.0F;  // 0: greedy, the lowest index among the largest logits
    float top_p = 1.0F;        // (0, 1]; 1 keeps all
    float min_p = 0.0F;        // [0, 1]; keep tokens with p >= min_p * max p
    std::int32_t top_k = 0;    // 0 keeps all
    std::uint64_t seed = 0;
    std::uint32_t choice = 0;  // index among the n choices of one request

    bool operator==(const SamplingParams&) const = default;
};

// What the scheduler needs to end a sequence.
struct StopParams {
    std::uint32_t max_tokens = 16;        // generated tokens, >= 1
    bool ignore_eos = false;              // end tokens of the model do not end the sequence
    std::vector<TokenId> stop_token_ids;  // end it besides the model's own end tokens

    bool operator==(const StopParams&) const = default;
};

enum class FinishReason : std::uint8_t {
    stop,       // end token, stop token or stop string
    length,     // max_tokens or the context is full
    cancelled,  // by the client
    failed,     // see the error beside it
};

}  // namespace troupe
