// Templates and tokenization, off the threads that others wait for: turns a prompt into ids and a request's
// wishes into resolved parameters. Immutable but for the seeds it draws; one detached actor per frontend
// thread.
#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "actors/messages.hpp"
#include "model/chat_template.hpp"
#include "model/loader.hpp"

namespace troupe {

// Prompt and generated tokens together, at the most.
struct SequenceLimits {
    std::uint32_t context = 0;  // --max-model-len, or the model's own
    std::uint32_t pool = 0;     // what the KV pool can hold
    std::uint32_t tokens() const { return std::min(context, pool); }
    const char* flag() const { return context <= pool ? "--max-model-len" : "--kv-blocks"; }
};

class Frontend {
  public:
    Frontend(std::shared_ptr<const LoadedModel> model, SequenceLimits limits);

    PreparedRequest prepare(const PrepareRequest& request) const;
    Result<std::vector<TokenId>> tokenize(const Prompt& prompt) const;
    Result<std::string> detokenize(const std::vector<TokenId>& ids) const;

  private:
    Result<std::vector<TokenId>> tokenize(const TextPrompt& prompt) const;
    Result<std::vector<TokenId>> tokenize(const TokenPrompt& prompt) const;
    Result<std::vector<TokenId>> tokenize(const ChatPrompt& prompt) const;
    void truncate(std::vector<TokenId>& ids, const RequestedSampling& wish) const;
    SamplingParams resolve(const RequestedSampling& wish) const;  // defaults filled in, the seed drawn
    Status check_room(std::size_t prompt, std::optional<std::uint32_t> max_tokens, const char* field) const;
    Status check_length(std::size_t bytes, const char* field) const;
    Thinking thinking_after(const Prompt& prompt, const std::vector<TokenId>& ids) const;
    Status check_ids(const std::vector<TokenId>& ids, const char* field) const;

    std::shared_ptr<const LoadedModel> model_;
    SequenceLimits limits_;
    std::size_t longest_token_ = 1;                      // bytes of text that one token can stand for
    std::optional<Result<ChatTemplate>> chat_template_;  // absent: the model has none
};

FrontendActor::behavior_type frontend(FrontendActor::pointer self, std::shared_ptr<const LoadedModel> model,
                                      SequenceLimits limits);

}  // namespace troupe
