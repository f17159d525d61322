// What is kept of a response beside its generation: everything that its object shows and that a conversation
// continued from it needs. Travels through the client port as an opaque string (JSON).
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "actors/client_port.hpp"
#include "net/answer_reader.hpp"
#include "net/requests.hpp"

namespace troupe::net {

struct ResponseRecord {
    std::string id;            // "resp_..."
    std::int64_t created = 0;  // Unix seconds
    std::string model;
    std::vector<Message> messages;  // the conversation so far, this input included, instructions not
    std::optional<std::string> instructions;  // of this response only: a successor has its own
    std::optional<std::string> previous_response_id;
    std::optional<std::string> user;
    std::string tools;       // a JSON list, or empty
    bool show_tools = true;  // false: tool_choice is "none"
    std::map<std::string, std::string> metadata;
    std::optional<float> temperature, top_p;
    std::optional<std::uint32_t> max_output_tokens;
    std::optional<std::uint32_t> logprobs;  // of the output's tokens, and that many of the likeliest
    bool background = false;
    bool store = true;
    bool generate = true;  // false: it has no output, and its messages end with its input

    bool operator==(const ResponseRecord&) const = default;
};

inline constexpr std::string_view kResponseIdPrefix = "resp_";

// The id without its prefix: what the ids of the response's items have in common.
std::string bare_id(const ResponseRecord& record);
// Takes its text apart; calls get the same ids each time.
AnswerReader answer_reader(const ResponseRecord& record, Thinking thinking);

std::string to_json(const ResponseRecord& record);
Result<ResponseRecord> record_from_json(std::string_view json);

// The record of the response that `request` asks for, continuing `previous` if there is one;
// one with store: false only on its own connection.
Result<ResponseRecord> make_record(const ResponseRequest& request, const std::string& model, std::int64_t now,
                                   const GenerationSnapshot* previous, bool same_connection = false);

Error response_not_found(const std::string& id, std::string param = "response_id");
Error previous_response_not_found(const std::string& id);

}  // namespace troupe::net
