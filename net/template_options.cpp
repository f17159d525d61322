// What a request hands to the chat template beside its messages.
#include <algorithm>
#include <array>

#include "net/messages.hpp"
#include "net/utf8.hpp"

namespace troupe::net {
namespace {

constexpr std::size_t kMaxTools = 128, kMaxEchoed = 60;
constexpr std::array<std::string_view, 9> kReserved = {
    "messages",  "tools",         "documents", "add_generation_prompt", "continue_final_message", "bos_token",
    "eos_token", "chat_template", "tokenize"};

Error not_supported(const std::string& path, const std::string& what) {
    return invalid_argument(path + ": " + what, path, "unsupported_parameter");
}

// {"name", "description", "parameters", "strict"}
Status check_function(const FieldValue& function) {
    if (!function.json.is_object()) return wrong_value(function, "an object with name and parameters");
    bool named = false;
    auto status = for_each_member(function, [&](std::string_view name, const FieldValue& member) -> Status {
        if (name == "name") {
            named = member.json.is_string() && !read_string(member)->empty();
            return named ? Status() : wrong_value(member, "the function's name");
        }
        if (member.json.is_null()) return {};
        if (name == "description" && !member.json.is_string()) return wrong_value(member, "a string");
        if (name == "parameters" && !member.json.is_object())
            return wrong_value(member, "a JSON schema object");
        if (name == "strict" && !member.json.is_bool()) return wrong_value(member, "true or false");
        return {};
    });
    if (!status || named) return status;
    return invalid_argument(function.path + ".name is missing; it must be the function's name",
                            function.path + ".name");
}

Status check_type(const FieldValue& tool) {
    const std::string path = tool.path + ".type";
    if (!tool.json.is_object()) return wrong_value(tool, "a tool object with type \"function\"");
    auto type = tool.json["type"];
    if (type.error()) return invalid_argument(path + " is missing; it must be \"function\"", path);
    const auto text = read_string({type.value(), path});
    if (!text) return text.error();
    if (*text == "function") return {};
    return not_supported(path, "tools of type \"" + shortened(*text, kMaxEchoed) +
                                   "\" are not supported; allowed is \"function\"");
}

Status read_chat_tool(std::string& out, const FieldValue& tool) {
    const std::string path = tool.path + ".function";
    auto function = tool.json["function"];
    if (function.error())
        return invalid_argument(path + " is missing; it must be an object with a name", path);
    if (auto status = check_function({function.value(), path}); !status) return status;
    out += simdjson::minify(tool.json);
    return {};
}

// The flat form of responses, in that of chat.
Status read_response_tool(std::string& out, const FieldValue& tool) {
    if (auto status = check_function(tool); !status) return status;
    JsonWriter json;
    json.begin_object().field("type", "function").key("function").begin_object();
    const simdjson::dom::object members = tool.json;
    for (const auto& member : members)
        if (member.key != "type") json.key(member.key).raw(simdjson::minify(member.value));
    out += json.end_object().end_object().take();
    return {};
}

}  // namespace

Status read_tools(std::string& tools, const FieldValue& value, MessageStyle style) {
    simdjson::dom::array list;
    if (value.json.get(list) != simdjson::SUCCESS || list.size() > kMaxTools)
        return wrong_value(value, "a list of at most " + std::to_string(kMaxTools) + " tools");
    if (list.size() == 0) return {};
    std::string out = "[";
    auto status = for_each_element(value, [&](const FieldValue& tool) -> Status {
        if (auto type = check_type(tool); !type) return type;
        if (out.size() > 1) out += ',';
        return style == MessageStyle::chat ? read_chat_tool(out, tool) : read_response_tool(out, tool);
    });
    if (!status) return status;
    tools = out + "]";
    return {};
}

Status read_tool_choice(TemplateOptions& options, const FieldValue& value) {
    std::string_view choice;
    if (value.json.get(choice) == simdjson::SUCCESS && (choice == "none" || choice == "auto")) {
        options.show_tools = choice == "auto";
        return {};
    }
    return not_supported(value.path,
                         "the model cannot be forced to call a tool; allowed is \"none\" or \"auto\" (got " +
                             shortened(simdjson::to_string(value.json), kMaxEchoed) + ")");
}

Status read_documents(std::string& documents, const FieldValue& value) {
    simdjson::dom::array list;
    if (value.json.get(list) != simdjson::SUCCESS) return wrong_value(value, "a list of objects");
    auto status = for_each_element(value, [&](const FieldValue& document) -> Status {
        return document.json.is_object() ? Status() : wrong_value(document, "an object");
    });
    if (!status) return status;
    if (list.size() > 0) documents = simdjson::minify(value.json);
    return {};
}

Status read_template_arguments(std::string& arguments, const FieldValue& value) {
    auto status = for_each_member(value, [&](std::string_view name, const FieldValue& member) -> Status {
        if (std::find(kReserved.begin(), kReserved.end(), name) == kReserved.end()) return {};
        return invalid_argument(member.path +
                                    " cannot be set here: chat_template_kwargs holds variables of the "
                                    "template's own, such as enable_thinking",
                                member.path);
    });
    if (!status) return status;
    arguments = simdjson::minify(value.json);
    return {};
}

Status read_reasoning_effort(TemplateOptions& options, const FieldValue& value) {
    static constexpr std::array<std::string_view, 6> efforts = {"none",   "minimal", "low",
                                                                "medium", "high",    "xhigh"};
    std::string_view effort;
    if (value.json.get(effort) != simdjson::SUCCESS ||
        std::find(efforts.begin(), efforts.end(), effort) == efforts.end()) {
        return wrong_value(value, R"("none", "minimal", "low", "medium", "high" or "xhigh")");
    }
    options.reasoning_effort = std::string(effort);
    return {};
}

Status read_reasoning(TemplateOptions& options, const FieldValue& value) {
    return for_each_member(value, [&](std::string_view name, const FieldValue& member) -> Status {
        if (member.json.is_null()) return {};
        if (name == "effort") return read_reasoning_effort(options, member);
        if (name == "summary" || name == "generate_summary") {
            std::string_view summary;
            if (member.json.get(summary) == simdjson::SUCCESS && summary == "auto") return {};
            return not_supported(member.path,
                                 "reasoning is not summarized: leave it out or set it to \"auto\"");
        }
        return {};
    });
}

Status check_template_options(const TemplateOptions& options, const std::vector<Message>& messages) {
    if (!options.continue_final_message) return {};
    const std::string field = "continue_final_message";
    if (options.add_generation_prompt)
        return invalid_argument("continue_final_message needs add_generation_prompt to be false", field);
    if (messages.empty() || messages.back().content.empty())
        return invalid_argument("continue_final_message needs a final message with content", field);
    return {};
}

Status check_template_reads(const TemplateReads& reads, const TemplateOptions& options,
                            const char* effort_field) {
    if (!options.tools.empty() && options.show_tools && !reads.tools) {
        return not_supported(
            "tools",
            "the chat template of this model shows it no tools, so it would not know of them; "
            "leave them out, or set tool_choice to \"none\"");
    }
    if (!options.documents.empty() && !reads.documents) {
        return not_supported("documents",
                             "the chat template of this model shows it no documents; put their text into a "
                             "message");
    }
    // "none" asks a model that cannot think for what it does anyway.
    if (!options.reasoning_effort || reads.reasoning_effort || *options.reasoning_effort == "none") return {};
    return not_supported(
        effort_field, reads.enable_thinking
                          ? "this model thinks or does not, but not more or less: leave it out, or set it to "
                            "\"none\" (got " +
                                *options.reasoning_effort + ")"
                          : "the chat template of this model knows no reasoning effort: leave it out, or set "
                            "it to \"none\" (got " +
                                *options.reasoning_effort + ")");
}

std::string template_variables(const std::vector<Message>& messages, const TemplateOptions& options) {
    JsonWriter out;
    write_messages(out.begin_object().key("messages"), messages);
    out.field("add_generation_prompt", options.add_generation_prompt);
    if (options.continue_final_message) out.field("continue_final_message", true);
    if (!options.tools.empty() && options.show_tools) out.key("tools").raw(options.tools);
    if (!options.documents.empty()) out.key("documents").raw(options.documents);
    if (options.reasoning_effort) {
        out.field("reasoning_effort", *options.reasoning_effort);
        // The models that cannot think more or less can at least be told not to.
        if (*options.reasoning_effort == "none") out.field("enable_thinking", false);
    }
    out.end_object();
    std::string variables = out.take();
    // Last, so that what the template is told by name counts before what follows from the above.
    if (options.arguments.size() > 2) {
        variables.back() = ',';
        variables.append(options.arguments, 1);
    }
    return variables;
}

}  // namespace troupe::net
