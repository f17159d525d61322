#include "net/messages.hpp"

#include <algorithm>
#include <array>

#include "net/request_fields.hpp"
#include "net/utf8.hpp"

namespace troupe::net {
namespace {

constexpr std::size_t kMaxEchoed = 60;  // bytes of a value that an error repeats
constexpr std::array<std::string_view, 6> kRoles = {"system",    "developer", "user",
                                                    "assistant", "tool",      "function"};
constexpr std::string_view kAllowedRoles =
    R"("system", "developer", "user", "assistant", "tool" or "function")";
constexpr std::string_view kAllowedParts = R"("text", "input_text", "output_text" or "refusal")";
constexpr std::string_view kAllowedItems =
    R"("message", "function_call", "function_call_output" or "reasoning")";

Error not_supported(const std::string& path, const std::string& what) {
    return invalid_argument(path + ": " + what, path, "unsupported_parameter");
}
Error missing(const std::string& path, std::string_view allowed) {
    return invalid_argument(path + " is missing; it must be " + std::string(allowed), path);
}

bool is_text_part(std::string_view type) {
    return type == "text" || type == "input_text" || type == "output_text" || type == "reasoning_text";
}

Result<std::string> read_part(const FieldValue& part) {
    std::string type;
    std::optional<std::string> text, refusal;
    auto status = for_each_member(part, [&](std::string_view name, const FieldValue& value) -> Status {
        if (name == "type") return assign(type, read_string(value));
        if (name == "text") return assign(text.emplace(), read_string(value));
        if (name == "refusal" && !value.json.is_null()) return assign(refusal.emplace(), read_string(value));
        return {};
    });
    if (!status) return status.error();
    if (type.empty()) return missing(part.path + ".type", kAllowedParts);
    if (type == "refusal") {
        text = std::move(refusal);
        if (!text) return missing(part.path + ".refusal", "a string");
    } else if (!is_text_part(type)) {
        return not_supported(part.path + ".type", "content parts of type \"" + shortened(type, kMaxEchoed) +
                                                      "\" are not supported; allowed is " +
                                                      std::string(kAllowedParts));
    }
    if (!text) return missing(part.path + ".text", "a string");
    return *std::move(text);
}

Result<std::string> read_content(const FieldValue& value) {
    if (value.json.is_null()) return std::string();
    if (value.json.is_string()) return read_string(value);
    if (!value.json.is_array()) return wrong_value(value, "a string or a list of text parts");
    std::string content;
    bool first = true;
    auto status = for_each_element(value, [&](const FieldValue& element) -> Status {
        auto part = read_part(element);
        if (!part) return part.error();
        if (!std::exchange(first, false)) content += '\n';
        content += *part;
        return {};
    });
    if (!status) return status.error();
    return content;
}

Result<std::string> read_role(const FieldValue& value) {
    auto role = read_string(value);
    if (!role) return role;
    if (*role == "function") return std::string("tool");  // its older name
    if (std::find(kRoles.begin(), kRoles.end(), *role) != kRoles.end()) return role;
    return wrong_value(value, kAllowedRoles);
}

// The text of an object, which may come as such or as text that holds one.
Result<std::string> read_arguments(const FieldValue& value) {
    constexpr std::string_view allowed = "the JSON text of an object";
    if (value.json.is_object()) return std::string(simdjson::minify(value.json));
    auto text = read_string(value);
    if (!text) return wrong_value(value, allowed);
    if (text->find_first_not_of(" \t\r\n") == std::string::npos) return std::string("{}");
    auto document = parse_json(*text);
    if (!document || !(*document)->root.is_object()) return wrong_value(value, allowed);
    return text;
}

// {"name", "arguments"}
Status read_function(ToolCall& call, const FieldValue& value) {
    auto status = for_each_member(value, [&](std::string_view name, const FieldValue& member) -> Status {
        if (name == "name") return assign(call.name, read_string(member));
        if (name == "arguments") return assign(call.arguments, read_arguments(member));
        return {};
    });
    if (!status) return status;
    if (call.name.empty()) return missing(value.path + ".name", "a string");
    if (call.arguments.empty()) call.arguments = "{}";
    return {};
}

Status read_tool_call(ToolCall& call, const FieldValue& value) {
    if (!value.json.is_object()) return wrong_value(value, "a tool call with id, type and function");
    bool has_function = false;
    auto status = for_each_member(value, [&](std::string_view name, const FieldValue& member) -> Status {
        if (name == "id") return read_label(call.id, member);
        if (name == "type" && !(member.json.is_string() && *read_string(member) == "function"))
            return not_supported(member.path, "only calls of type \"function\" are supported");
        if (name != "function") return {};
        has_function = true;
        return read_function(call, member);
    });
    if (!status) return status;
    if (!has_function) return missing(value.path + ".function", "an object with name and arguments");
    return {};
}

Status read_tool_calls(std::vector<ToolCall>& calls, const FieldValue& value) {
    return for_each_element(
        value, [&](const FieldValue& call) { return read_tool_call(calls.emplace_back(), call); });
}

Status read_member(Message& message, std::string_view name, const FieldValue& value) {
    if (name == "role") return assign(message.role, read_role(value));
    if (name == "content") return assign(message.content, read_content(value));
    if (value.json.is_null()) return {};
    if (name == "name") return read_label(message.name, value);
    if (name == "tool_calls") return read_tool_calls(message.tool_calls, value);
    if (name == "tool_call_id") return read_label(message.tool_call_id, value);
    if (name == "reasoning_content" || name == "reasoning")
        return assign(message.reasoning.emplace(), read_string(value));
    if (name == "function_call" || name == "audio")
        return not_supported(value.path, "is not supported: leave it out");
    return {};
}

Status read_message(std::vector<Message>& messages, const FieldValue& value) {
    Message message;
    bool content_given = false;
    auto status = for_each_member(value, [&](std::string_view name, const FieldValue& member) {
        content_given = content_given || (name == "content" && !member.json.is_null());
        return read_member(message, name, member);
    });
    if (!status) return status;
    if (message.role.empty()) return missing(value.path + ".role", kAllowedRoles);
    if (!content_given && message.role != "assistant")
        return missing(value.path + ".content", "a string or a list of text parts");
    if (!message.tool_calls.empty() && message.role != "assistant") {
        return invalid_argument(value.path + ".tool_calls is only allowed in messages of the assistant",
                                value.path + ".tool_calls");
    }
    messages.push_back(std::move(message));
    return {};
}

// --- input items of responses ---

// Calls that follow one another, or the assistant's words, are one message of chat.
Status read_function_call(std::vector<Message>& messages, const FieldValue& item) {
    ToolCall call;
    if (auto status = read_function(call, item); !status) return status;
    if (auto id = item.json["call_id"]; !id.error()) {
        if (auto status = read_label(call.id, {id.value(), item.path + ".call_id"}); !status) return status;
    }
    if (messages.empty() || messages.back().role != "assistant") messages.push_back({"assistant"});
    messages.back().tool_calls.push_back(std::move(call));
    return {};
}

Status read_function_output(std::vector<Message>& messages, const FieldValue& item) {
    Message message{"tool"};
    bool given = false;
    auto status = for_each_member(item, [&](std::string_view name, const FieldValue& member) -> Status {
        if (name == "call_id") return read_label(message.tool_call_id, member);
        if (name != "output") return {};
        given = true;
        return assign(message.content, read_content(member));
    });
    if (!status) return status;
    if (!given) return missing(item.path + ".output", "a string or a list of text parts");
    messages.push_back(std::move(message));
    return {};
}

// What the model thought: given back to the template with the assistant's next words.
Status read_reasoning_item(std::optional<std::string>& reasoning, const FieldValue& item) {
    return for_each_member(item, [&](std::string_view name, const FieldValue& member) -> Status {
        if (name != "content" || member.json.is_null()) return {};
        return assign(reasoning.emplace(), read_content(member));
    });
}

class ItemReader {
  public:
    explicit ItemReader(std::vector<Message>& messages) : messages_(messages) {}

    Status read(const FieldValue& item) {
        const bool typed = item.json.is_object() && item.json["type"].error() == simdjson::SUCCESS;
        std::string type = "message";
        if (typed) {
            const FieldValue value{item.json["type"].value(), item.path + ".type"};
            if (auto status = assign(type, read_string(value)); !status) return status;
        }
        if (type == "reasoning") return read_reasoning_item(reasoning_, item);
        const std::size_t before = messages_.size();
        auto status = type == "message"                ? read_message(messages_, item)
                      : type == "function_call"        ? read_function_call(messages_, item)
                      : type == "function_call_output" ? read_function_output(messages_, item)
                                                       : unknown(item, type);
        if (status && reasoning_ && messages_.size() > before && messages_.back().role == "assistant")
            messages_.back().reasoning = std::exchange(reasoning_, std::nullopt);
        return status;
    }

  private:
    static Status unknown(const FieldValue& item, const std::string& type) {
        return not_supported(item.path + ".type", "input items of type \"" + shortened(type, kMaxEchoed) +
                                                      "\" are not supported; allowed is " +
                                                      std::string(kAllowedItems));
    }

    std::vector<Message>& messages_;
    std::optional<std::string> reasoning_;
};

}  // namespace

Status read_messages(std::vector<Message>& messages, const FieldValue& value, MessageStyle style) {
    if (!value.json.is_array()) return wrong_value(value, "a list of messages");
    ItemReader items(messages);
    return for_each_element(value, [&](const FieldValue& element) -> Status {
        if (!element.json.is_object()) return wrong_value(element, "a message object with role and content");
        return style == MessageStyle::chat ? read_message(messages, element) : items.read(element);
    });
}

Status read_input_items(std::vector<Message>& messages, const FieldValue& value) {
    if (value.json.is_string()) {
        messages.push_back({"user", *read_string(value)});
        return {};
    }
    if (!value.json.is_array()) return wrong_value(value, "a string or a list of message items");
    return read_messages(messages, value, MessageStyle::responses);
}

void write_messages(JsonWriter& out, const std::vector<Message>& messages) {
    out.begin_array();
    for (const Message& message : messages) {
        out.begin_object().field("role", message.role);
        if (message.name) out.field("name", *message.name);
        out.key("content");
        // Templates tell a call without words by its content being none.
        message.content.empty() && !message.tool_calls.empty() ? out.value(nullptr)
                                                               : out.value(message.content);
        if (message.reasoning) out.field("reasoning_content", *message.reasoning);
        if (message.tool_call_id) out.field("tool_call_id", *message.tool_call_id);
        if (!message.tool_calls.empty()) {
            out.key("tool_calls").begin_array();
            for (const ToolCall& call : message.tool_calls) {
                out.begin_object();
                if (call.id) out.field("id", *call.id);
                out.field("type", "function").key("function").begin_object().field("name", call.name);
                out.field("arguments", call.arguments).end_object().end_object();
            }
            out.end_array();
        }
        out.end_object();
    }
    out.end_array();
}

}  // namespace troupe::net
