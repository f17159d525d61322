// Log probabilities with the texts of their tokens, for clients.
#pragma once
#include <string_view>
#include <vector>

#include "actors/client_port.hpp"
#include "core/logprobs.hpp"
#include "model/tokenizer/tokenizer.hpp"

namespace troupe {

// In valid UTF-8.
std::uint32_t count_characters(std::string_view text);

// `offset`: characters before the token.
TextLogprobs as_text(const Tokenizer& tokenizer, const PositionLogprobs& position, std::uint32_t offset);

// `logprobs` are those of ids[1], ids[2], ..., or none.
PromptEvent describe_prompt(const std::shared_ptr<const Tokenizer>& tokenizer,
                            const std::vector<TokenId>& ids, const std::vector<PositionLogprobs>& logprobs,
                            bool skip_special);

}  // namespace troupe
