// Templates and tokenization, off the threads that others wait for: turns a prompt into ids and a request's
// wishes into resolved parameters. Immutable but for the seeds it draws; one detached actor per frontend
// thread.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "actors/messages.hpp"
#include "model/chat_template.hpp"
#include "model/loader.hpp"

namespace troupe {

class Frontend {
  public:
    // max_sequence_len: prompt and generated tokens together.
    Frontend(std::shared_ptr<const LoadedModel> model, std::uint32_t max_sequence_len);

    PreparedRequest prepare(const PrepareRequest& request) const;
    Result<std::vector<TokenId>> tokenize(const Prompt& prompt) const;
    Result<std::string> detokenize(const std::vector<TokenId>& ids) const;

  private:
    Result<std::vector<TokenId>> tokenize(const TextPrompt& prompt) const;
    Result<std::vector<TokenId>> tokenize(const TokenPrompt& prompt) const;
    Result<std::vector<TokenId>> tokenize(const ChatPrompt& prompt) const;
    Status check_ids(const std::vector<TokenId>& ids, const char* field) const;

    std::shared_ptr<const LoadedModel> model_;
    std::uint32_t max_sequence_len_;
    std::optional<Result<ChatTemplate>> chat_template_;  // absent: the model has none
};

FrontendActor::behavior_type frontend(FrontendActor::pointer self, std::shared_ptr<const LoadedModel> model,
                                      std::uint32_t max_sequence_len);

}  // namespace troupe
