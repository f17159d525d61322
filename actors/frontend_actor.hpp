// Templates and tokenization, off the threads that others wait for: turns a prompt into ids and a request's
// wishes into resolved parameters. Short texts come before long ones (actors/frontend_queue.hpp); choices of
// one prompt follow each other: its ids are kept for the next of them; and what nobody waits for any more is
// not prepared at all. One detached actor per frontend thread.
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

    PreparedRequest prepare(const PrepareRequest& request);
    std::uint64_t num_tokenized() const { return num_tokenized_; }  // prompts so far
    Result<std::vector<TokenId>> tokenize(const Prompt& prompt) const;
    Result<std::string> detokenize(const std::vector<TokenId>& ids) const;

  private:
    Result<std::vector<TokenId>> tokenize(const TextPrompt& prompt) const;
    Result<std::vector<TokenId>> tokenize(const TokenPrompt& prompt) const;
    Result<std::vector<TokenId>> tokenize(const ChatPrompt& prompt) const;
    // The ids of the whole prompt, from the last time if it was this one.
    const Result<std::vector<TokenId>>& ids_of(const std::shared_ptr<const Prompt>& prompt);
    // How many of its last tokens remain.
    std::size_t truncated(std::size_t prompt, const RequestedSampling& wish) const;
    SamplingParams resolve(const RequestedSampling& wish) const;  // defaults filled in, the seed drawn
    Status check_room(std::size_t prompt, std::optional<std::uint32_t> max_tokens, const char* field) const;
    Status check_length(std::size_t bytes, const char* field) const;
    Thinking thinking_after(const Prompt& prompt, const std::vector<TokenId>& ids) const;
    // Into `sampling`; the error names the text that no token holds.
    Status resolve_dry(const RequestedDry& wish, DryParams& dry);
    Status check_ids(const std::vector<TokenId>& ids, const char* field) const;

    std::shared_ptr<const LoadedModel> model_;
    SequenceLimits limits_;
    std::size_t longest_token_ = 1;                      // bytes of text that one token can stand for
    std::optional<Result<ChatTemplate>> chat_template_;  // absent: the model has none
    std::weak_ptr<const Prompt> last_;                   // prepared, and its ids
    Result<std::vector<TokenId>> last_ids_ = std::vector<TokenId>();
    std::uint64_t num_tokenized_ = 0;
    std::vector<std::string> breaker_texts_;  // looked up last, and the tokens that hold one of them
    std::vector<TokenId> breakers_;
};

QueueingFrontend::behavior_type frontend(QueueingFrontend::pointer self,
                                         std::shared_ptr<const LoadedModel> model, SequenceLimits limits);

}  // namespace troupe
