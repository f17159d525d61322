// The bodies of POST requests, validated. What is refused comes back as an error that names the field.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "actors/client_port.hpp"
#include "core/status.hpp"
#include "net/fields.hpp"
#include "net/messages.hpp"

namespace troupe::net {

// Fields that the three generating endpoints share.
struct CommonRequest {
    std::string model;  // empty: whatever is served
    bool stream = false;
    bool stream_options = false;  // given
    bool include_usage = false;
    bool continuous_usage = false;              // in every chunk, too
    bool echo = false;                          // completions: the prompt's text comes first
    bool tokens_as_ids = false;                 // in logprobs
    bool logprobs = false;                      // chat and responses
    std::optional<std::uint32_t> top_logprobs;  // the same
    RequestedSampling sampling;
    std::optional<std::uint32_t>
        max_completion_tokens;             // chat: the newer name of max_tokens, counts before it
    std::uint32_t n = 1;                   // choices of each prompt (completions and chat)
    std::optional<std::uint32_t> best_of;  // completions: like n, or 1
    std::optional<std::int32_t> priority;
    std::optional<std::uint32_t> deadline_ms;
    std::optional<std::uint32_t> ttft_target_ms, tpot_target_ms;
    std::map<std::string, std::string> metadata;
    std::optional<bool> store;
    std::optional<std::string> cache_salt;
    std::optional<std::string> user;  // shown in a response; no effect elsewhere
};

struct CompletionRequest : CommonRequest {
    std::vector<Prompt> prompts;  // n generations each
    bool add_special_tokens = true;
};

struct ChatRequest : CommonRequest {
    std::vector<Message> messages;
    TemplateOptions options;
};

struct ResponseRequest : CommonRequest {
    std::vector<Message> input;
    bool input_given = false;
    TemplateOptions options;
    std::string tools;  // as they were given: a JSON list, or empty
    std::optional<std::string> instructions;
    std::optional<std::string> previous_response_id;
    bool background = false;
    bool generate = true;  // false: the prompt is computed and nothing is generated
};

struct TokenizeRequest {
    std::string model;
    std::optional<std::string> prompt;
    std::optional<std::vector<Message>> messages;
    TemplateOptions options;                 // for messages
    std::optional<bool> add_special_tokens;  // a prompt's default is true, that of messages false
};

struct DetokenizeRequest {
    std::string model;
    std::optional<std::vector<TokenId>> tokens;
};

Result<CompletionRequest> parse_completion(std::string_view body, UnknownFields& unknown);
Result<ChatRequest> parse_chat(std::string_view body, UnknownFields& unknown);
Result<ResponseRequest> parse_response(std::string_view body, UnknownFields& unknown);
// The same body inside a WebSocket message: "type", "stream_id" and "event_id" are allowed beside it.
Result<ResponseRequest> parse_response(const Json& message, UnknownFields& unknown);
Result<TokenizeRequest> parse_tokenize(std::string_view body, UnknownFields& unknown);
Result<DetokenizeRequest> parse_detokenize(std::string_view body, UnknownFields& unknown);

// The names of the fields that an endpoint's requests may have; known ones that have no effect are not among
// them.
std::vector<std::string> request_fields(std::string_view endpoint);

}  // namespace troupe::net
