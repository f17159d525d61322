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

namespace troupe::net {

struct Message {
    std::string role;     // system, developer, user or assistant
    std::string content;  // text parts put together
    std::optional<std::string> name;
    bool operator==(const Message&) const = default;
};

// Fields that the three generating endpoints share.
struct CommonRequest {
    std::string model;  // empty: whatever is served
    bool stream = false;
    bool stream_options = false;  // given
    bool include_usage = false;
    RequestedSampling sampling;
    std::optional<std::uint32_t>
        max_completion_tokens;  // chat: the newer name of max_tokens, counts before it
    std::optional<std::int32_t> priority;
    std::optional<std::uint32_t> deadline_ms;
    std::map<std::string, std::string> metadata;
    std::optional<bool> store;
};

struct CompletionRequest : CommonRequest {
    std::vector<Prompt> prompts;  // one generation each
};

struct ChatRequest : CommonRequest {
    std::vector<Message> messages;
};

struct ResponseRequest : CommonRequest {
    std::vector<Message> input;
    bool input_given = false;
    std::optional<std::string> instructions;
    std::optional<std::string> previous_response_id;
    bool background = false;
    std::optional<std::string> user;
};

struct TokenizeRequest {
    std::string model;
    std::optional<std::string> prompt;
    std::optional<std::vector<Message>> messages;
    std::optional<bool> add_special_tokens;  // a prompt's default is true, that of messages false
    bool add_generation_prompt = true;
};

struct DetokenizeRequest {
    std::string model;
    std::optional<std::vector<TokenId>> tokens;
};

Result<CompletionRequest> parse_completion(std::string_view body, UnknownFields& unknown);
Result<ChatRequest> parse_chat(std::string_view body, UnknownFields& unknown);
Result<ResponseRequest> parse_response(std::string_view body, UnknownFields& unknown);
// The same body inside a WebSocket message: "type", "stream_id", "stream" and "generate": true are allowed
// beside it.
Result<ResponseRequest> parse_response(const Json& message, UnknownFields& unknown);
Result<TokenizeRequest> parse_tokenize(std::string_view body, UnknownFields& unknown);
Result<DetokenizeRequest> parse_detokenize(std::string_view body, UnknownFields& unknown);

// The variables of a chat template: {"messages": [...], "add_generation_prompt"}. A developer message is
// rendered as a system message, the role that models know.
std::string template_variables(const std::vector<Message>& messages, bool add_generation_prompt = true);

}  // namespace troupe::net
