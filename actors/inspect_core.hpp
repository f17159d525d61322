// Inspectors of the vocabulary in core/ and of the client port's values, for CAF's serializers.
#pragma once
#include "actors/client_port.hpp"
#include "actors/wire.hpp"
#include "core/block_move.hpp"
#include "core/sequence.hpp"
#include "core/step_plan.hpp"

namespace troupe {

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, Error& x) {
    auto code = wire::enumerated(x.code, ErrorCode::unavailable);
    return f(caf::meta::type_name("Error"), code, x.message, x.param, x.tag);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, LogitBias& x) {
    auto bias = wire::f32(x.bias);
    return f(caf::meta::type_name("LogitBias"), x.token, bias);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, DryParams& x) {
    auto multiplier = wire::f32(x.multiplier), base = wire::f32(x.base);
    auto breakers = wire::run(x.breakers);
    return f(caf::meta::type_name("DryParams"), multiplier, base, x.allowed_length, x.last_n, breakers);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, RequestedDry& x) {
    auto multiplier = wire::f32(x.multiplier), base = wire::f32(x.base);
    auto breakers = wire::opt(x.breakers);
    return f(caf::meta::type_name("RequestedDry"), multiplier, base, x.allowed_length, x.last_n, breakers);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, SamplingParams& x) {
    auto temperature = wire::f32(x.temperature), top_p = wire::f32(x.top_p), min_p = wire::f32(x.min_p);
    auto typical_p = wire::f32(x.typical_p), xtc_probability = wire::f32(x.xtc_probability);
    auto xtc_threshold = wire::f32(x.xtc_threshold), repetition = wire::f32(x.repetition_penalty);
    auto presence = wire::f32(x.presence_penalty), frequency = wire::f32(x.frequency_penalty);
    auto end_tokens = wire::run(x.end_tokens);
    return f(caf::meta::type_name("SamplingParams"), temperature, top_p, min_p, x.top_k, x.seed, x.choice,
             typical_p, xtc_probability, xtc_threshold, repetition, presence, frequency, x.min_tokens,
             end_tokens, x.logit_bias, x.logprobs, x.prompt_logprobs, x.dry);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, StopParams& x) {
    auto ids = wire::run(x.stop_token_ids);
    return f(caf::meta::type_name("StopParams"), x.max_tokens, x.ignore_eos, ids);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, SequenceSpec& x) {
    auto tokens = wire::run(x.tokens);
    return f(caf::meta::type_name("SequenceSpec"), x.id, x.tenant, x.arrival, x.priority, x.deadline,
             x.ttft_target, x.tpot_target, tokens, x.num_prompt_tokens, x.sampling, x.stop, x.cache_salt,
             x.oracle_tokens);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, AddedSequence& x) {
    auto tokens = wire::run(x.tokens);
    auto blocks = wire::run(x.block_table);
    return f(caf::meta::type_name("AddedSequence"), x.id, tokens, x.num_prompt_tokens, x.num_computed_tokens,
             x.sampling, blocks);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, GrownSequence& x) {
    auto blocks = wire::run(x.new_blocks);
    return f(caf::meta::type_name("GrownSequence"), x.id, blocks, x.num_replaced);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, PlanRow& x) {
    auto kind = wire::enumerated(x.kind, RowKind::sample);
    return f(caf::meta::type_name("PlanRow"), x.id, x.num_new_tokens, kind);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, BlockCopy& x) {
    return f(caf::meta::type_name("BlockCopy"), x.from, x.to);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, StepPlan& x) {
    auto removed = wire::run(x.removed);
    return f(caf::meta::type_name("StepPlan"), x.epoch, x.step, removed, x.added, x.grown, x.copies, x.rows);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, TokenLogprob& x) {
    auto logprob = wire::f32(x.logprob);
    return f(caf::meta::type_name("TokenLogprob"), x.token, logprob);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, PositionLogprobs& x) {
    return f(caf::meta::type_name("PositionLogprobs"), x.token, x.rank, x.top);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, SampledTokens& x) {
    auto tokens = wire::run(x.tokens);
    return f(caf::meta::type_name("SampledTokens"), x.id, tokens, x.logprobs);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, PromptLogprobs& x) {
    return f(caf::meta::type_name("PromptLogprobs"), x.id, x.position, x.entries);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, StepResult& x) {
    return f(caf::meta::type_name("StepResult"), x.epoch, x.step, x.sampled, x.prompts, x.compute_us,
             x.idle_us);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, BlockPlace& x) {
    auto tier = wire::enumerated(x.tier, Tier::disk);
    return f(caf::meta::type_name("BlockPlace"), tier, x.slot);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, BlockMove& x) {
    return f(caf::meta::type_name("BlockMove"), x.from, x.to);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, MoveBlocks& x) {
    return f(caf::meta::type_name("MoveBlocks"), x.epoch, x.job, x.moves);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, MoveDone& x) {
    return f(caf::meta::type_name("MoveDone"), x.epoch, x.job, x.num_moved, x.us);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, RequestedSampling& x) {
    auto temperature = wire::opt(x.temperature), top_p = wire::opt(x.top_p), min_p = wire::opt(x.min_p);
    auto typical_p = wire::opt(x.typical_p), xtc_probability = wire::opt(x.xtc_probability);
    auto xtc_threshold = wire::opt(x.xtc_threshold), repetition = wire::opt(x.repetition_penalty);
    auto presence = wire::opt(x.presence_penalty), frequency = wire::opt(x.frequency_penalty);
    auto top_k = wire::opt(x.top_k);
    auto seed = wire::opt(x.seed);
    auto max_tokens = wire::opt(x.max_tokens);
    auto truncate = wire::opt(x.truncate_prompt_tokens);
    auto logprobs = wire::opt(x.logprobs), prompt_logprobs = wire::opt(x.prompt_logprobs);
    auto ids = wire::run(x.stop_token_ids);
    return f(caf::meta::type_name("RequestedSampling"), temperature, top_p, min_p, typical_p, xtc_probability,
             xtc_threshold, repetition, presence, frequency, top_k, seed, max_tokens, truncate, x.min_tokens,
             x.ignore_eos, ids, x.stop, x.logit_bias, logprobs, prompt_logprobs, x.include_stop,
             x.skip_special, x.dry);
}

// A variant travels as its index and the fields of all its alternatives.
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, Prompt& x) {
    auto index = static_cast<std::uint8_t>(x.index());
    TextPrompt text = index == 0 ? std::get<0>(x) : TextPrompt{};
    TokenPrompt tokens = index == 1 ? std::get<1>(x) : TokenPrompt{};
    ChatPrompt chat = index == 2 ? std::get<2>(x) : ChatPrompt{};
    auto ids = wire::run(tokens.ids);
    return f(caf::meta::type_name("Prompt"), index, text.text, text.add_special, text.parse_special, ids,
             chat.variables, caf::meta::load_callback([&]() -> caf::error {
                 if (index > 2) return caf::sec::invalid_argument;
                 if (index == 0) x = std::move(text);
                 if (index == 1) x = std::move(tokens);
                 if (index == 2) x = std::move(chat);
                 return caf::none;
             }));
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, GenerationRequest& x) {
    Prompt prompt = *x.prompt;
    auto deadline = wire::opt(x.deadline_ms);
    auto ttft = wire::opt(x.ttft_target_ms), tpot = wire::opt(x.tpot_target_ms);
    auto retention = wire::enumerated(x.retention, Retention::background);
    return f(caf::meta::type_name("GenerationRequest"), x.id, x.model, prompt, x.sampling, x.tenant,
             x.priority, deadline, ttft, tpot, retention, x.record, x.choice, x.describe_prompt,
             x.prompt_group, x.cache_salt, caf::meta::load_callback([&]() -> caf::error {
                 x.prompt = std::move(prompt);
                 return caf::none;
             }));
}

}  // namespace troupe
