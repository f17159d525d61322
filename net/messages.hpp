// Conversations in requests: messages of chat, input items of responses, and what else a chat template is
// given with them (tools, documents, its own arguments).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "actors/client_port.hpp"
#include "net/fields.hpp"
#include "net/json_writer.hpp"

namespace troupe::net {

struct ToolCall {
    std::optional<std::string> id = {};
    std::string name = {};
    std::string arguments = {};  // the JSON text of an object
    bool operator==(const ToolCall&) const = default;
};

struct Message {
    std::string role = {};     // system, developer, user, assistant or tool
    std::string content = {};  // text parts put together, a line break between them
    std::optional<std::string> name = {};
    std::vector<ToolCall> tool_calls = {};         // of an assistant
    std::optional<std::string> tool_call_id = {};  // of a tool's answer
    std::optional<std::string> reasoning = {};     // what an assistant thought before its content
    bool operator==(const Message&) const = default;
};

// What a template sees beside the messages.
struct TemplateOptions {
    std::string tools;       // JSON list of {"type": "function", "function": {...}}; empty: none
    bool show_tools = true;  // false for tool_choice "none"
    std::string documents;   // JSON list of objects; empty: none
    std::string arguments;   // chat_template_kwargs: a JSON object; empty: none
    std::optional<std::string> reasoning_effort;
    bool add_generation_prompt = true;
    bool continue_final_message = false;
};

// Messages of chat, or input items of responses: those are messages too, or calls of functions, their outputs
// and reasoning, which become the messages that chat has for them.
enum class MessageStyle : std::uint8_t { chat, responses };
Status read_messages(std::vector<Message>& messages, const FieldValue& value, MessageStyle style);
// The input of a response: a string, which is a user's message, or a list of items.
Status read_input_items(std::vector<Message>& messages, const FieldValue& value);
// As chat has them: what read_messages reads.
void write_messages(JsonWriter& out, const std::vector<Message>& messages);

// Tools of chat ({"type": "function", "function": {"name", ...}}) or of responses ({"type": "function",
// "name",
// ...}); the former is what templates get.
Status read_tools(std::string& tools, const FieldValue& value, MessageStyle style);
Status read_tool_choice(TemplateOptions& options, const FieldValue& value);
Status read_documents(std::string& documents, const FieldValue& value);
Status read_template_arguments(std::string& arguments, const FieldValue& value);
Status read_reasoning_effort(TemplateOptions& options, const FieldValue& value);
Status read_reasoning(TemplateOptions& options, const FieldValue& value);  // responses: {"effort", ...}
// Checks that no single field can make.
Status check_template_options(const TemplateOptions& options, const std::vector<Message>& messages);

// Refuses what the model's chat template would let vanish without a word: tools, documents, a reasoning
// effort (by the name `effort_field`).
Status check_template_reads(const TemplateReads& reads, const TemplateOptions& options,
                            const char* effort_field = "reasoning_effort");

// The variables of a chat template: a JSON object with "messages", "add_generation_prompt" and whatever else
// there is. Tool calls carry their arguments as text; ChatTemplate makes of them what the template wants.
std::string template_variables(const std::vector<Message>& messages, const TemplateOptions& options = {});

}  // namespace troupe::net
