// Log probabilities as OpenAI's and vLLM's clients read them.
#pragma once
#include <string>
#include <vector>

#include "actors/client_port.hpp"
#include "net/json_writer.hpp"

namespace troupe::net {

// {"text_offset", "token_logprobs", "tokens", "top_logprobs"}: the drawn token is always among the top ones.
// The first token of an echoed prompt has null. With tokens_as_ids, "token_id:7" stands for a token's text,
// which need not be unique.
std::string completion_logprobs(const std::vector<TextLogprobs>& entries, bool tokens_as_ids);

// [{"token", "logprob", "bytes", "top_logprobs"}], as the Responses API has it too
void write_token_logprobs(JsonWriter& out, const std::vector<TextLogprobs>& entries);
// {"content": that list, "refusal": null}
std::string chat_logprobs(const std::vector<TextLogprobs>& entries);

// vLLM's prompt_logprobs: a list of null (the first token) and {"id": {"logprob", "rank", "decoded_token"}}.
std::string prompt_logprobs(const std::vector<TextLogprobs>& entries);

}  // namespace troupe::net
