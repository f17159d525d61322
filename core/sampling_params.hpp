// How one sequence draws its tokens and when it ends. Every field is resolved (no optionals): defaults of the
// model and an absent seed are filled in at admission, so that a restarted sequence draws the same tokens.
#pragma once
#include <cstdint>
#include <vector>

#include "core/ids.hpp"

namespace troupe {

struct LogitBias {
    TokenId token = 0;
    float bias = 0.0F;

    bool operator==(const LogitBias&) const = default;
};

// "Don't repeat yourself": what would go on repeating the text is made less likely, the more the longer the
// repetition is. model/logit_adjuster.hpp says how.
struct DryParams {
    float multiplier = 0.0F;             // >= 0; 0: off
    float base = 1.75F;                  // >= 1
    std::uint32_t allowed_length = 2;    // >= 1; repetitions of fewer tokens cost nothing
    std::int32_t last_n = -1;            // how many of the last tokens are looked at; -1: all
    std::vector<TokenId> breakers = {};  // ascending; no repetition reaches across one

    bool operator==(const DryParams&) const = default;
};

// What the worker needs to turn logits into a token: model/sampling.hpp says in which order. The token at a
// position is a pure function of (the sequence's tokens, these, position), so it does not depend on batch,
// worker or restarts.
struct SamplingParams {
    float temperature = 1.0F;  // 0: greedy, the lowest index among the largest logits
    float top_p = 1.0F;        // (0, 1]; 1 keeps all
    float min_p = 0.0F;        // [0, 1]; keep tokens with p >= min_p * max p
    std::int32_t top_k = 0;    // 0 keeps all
    std::uint64_t seed = 0;
    std::uint32_t choice = 0;                // index among the n choices of one request
    float typical_p = 1.0F;                  // (0, 1]; 1 keeps all
    float xtc_probability = 0.0F;            // [0, 1]; how often the likeliest tokens are left out
    float xtc_threshold = 0.1F;              // [0, 1]; tokens that likely, but for the least likely of them
    float repetition_penalty = 1.0F;         // > 0; of tokens in prompt and output
    float presence_penalty = 0.0F;           // taken off tokens in the output, once
    float frequency_penalty = 0.0F;          // and for each time they occur there
    std::uint32_t min_tokens = 0;            // generated before any of end_tokens may come
    std::vector<TokenId> end_tokens = {};    // that would end the sequence; only with min_tokens
    std::int32_t logprobs = -1;              // of each drawn token and that many of the likeliest; -1: none
    std::int32_t prompt_logprobs = -1;       // the same for the tokens of the prompt but the first
    std::vector<LogitBias> logit_bias = {};  // added to the logits; no token twice
    DryParams dry = {};

    bool operator==(const SamplingParams&) const = default;

    // They look at the tokens before.
    bool has_penalties() const {
        return repetition_penalty != 1.0F || presence_penalty != 0.0F || frequency_penalty != 0.0F ||
               dry.multiplier != 0.0F;
    }
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
    steered,    // by the client, to go on with other input
    failed,     // see the error beside it
};

}  // namespace troupe
