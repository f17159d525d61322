#include "model/conversation.hpp"

#include "model/jinja/json.hpp"

namespace troupe {
namespace {

using jinja::Dict;
using jinja::Value;

constexpr std::string_view end_mark = "CONTINUE_FINAL_MESSAGE_TAG ";

Value with_field(const Dict& dict, std::string_view name, Value value) {
    Dict changed;
    for (const auto& [key, held] : dict.entries()) changed.set(key, held);
    changed.set(Value(name), std::move(value));
    return changed;
}

template <class Change>
Value mapped(const Value& list, Change&& change) {
    std::vector<Value> items;
    for (const Value& item : list.sequence().items) items.push_back(change(item));
    return Value::list(std::move(items));
}

bool is_text(const Value* value, std::string_view text) {
    return value != nullptr && value->is_string() && value->text() == text;
}

// {"type": "function", "function": {"name", "arguments": text}} with an object for the text.
Value with_object(const Value& call) {
    if (!call.is_dict()) return call;
    const Value* function = call.dict().field("function");
    if (function == nullptr || !function->is_dict()) return call;
    const Value* arguments = function->dict().field("arguments");
    if (arguments == nullptr || !arguments->is_string()) return call;
    auto object = jinja::parse_json(arguments->text());
    if (!object || !object->is_dict()) return call;
    return with_field(call.dict(), "function", with_field(function->dict(), "arguments", *std::move(object)));
}

// What the template makes of a call with such arguments, JSON; empty when it fails.
std::string rendered_call(const jinja::Template& parsed, const std::string& arguments,
                          const std::string& content) {
    const std::string json =
        R"({"bos_token":"","eos_token":"","add_generation_prompt":false,"tools":null,"documents":null,"messages":[)"
        R"({"role":"user","content":"hello"},{"role":"assistant","content":)" +
        content +
        R"(,"tool_calls":[{"id":"call12345","type":"function","function":{"name":"find","arguments":)" +
        arguments + "}}]}]}";
    jinja::RenderOptions options;
    options.now = jinja::CivilTime{};
    options.limits = {size_t{1} << 20, size_t{16} << 20, 1'000'000, 500};
    const auto variables = jinja::parse_json(json);
    if (!variables) return {};
    auto text = parsed.render(*variables, options);
    return text ? *std::move(text) : std::string();
}

bool shows_object(const std::string& text) {
    // A template that just prints the object shows it as Python does, which is no JSON.
    return text.find("needle") != std::string::npos && text.find("{'needle'") == std::string::npos;
}
bool shows_text(const std::string& text) { return text.find(R"({"needle": "x"})") != std::string::npos; }

}  // namespace

ConversationHabits habits_of(const jinja::Template& parsed, std::string_view source) {
    ConversationHabits habits;
    habits.knows_developer = source.find("developer") != std::string_view::npos;
    habits.null_content = false;
    if (source.find("tool_calls") == std::string_view::npos) return habits;
    const std::string object = R"({"needle": "x"})", text = R"("{\"needle\": \"x\"}")";
    const auto try_both = [&](const char* content) {
        habits.argument_objects = shows_object(rendered_call(parsed, object, content));
        return habits.argument_objects || shows_text(rendered_call(parsed, text, content));
    };
    habits.null_content = try_both("null");
    const bool found_out = habits.null_content || try_both("\"\"");
    if (!found_out) habits.argument_objects = true;
    return habits;
}

Value adapted(const Value& messages, const ConversationHabits& habits) {
    if (!messages.is_sequence()) return messages;
    return mapped(messages, [&](const Value& message) {
        if (!message.is_dict()) return message;
        Value result = message;
        if (!habits.knows_developer && is_text(result.dict().field("role"), "developer"))
            result = with_field(result.dict(), "role", "system");
        const Value* content = result.dict().field("content");
        if (!habits.null_content && content != nullptr && content->is_none())
            result = with_field(result.dict(), "content", "");
        const Value* calls = result.dict().field("tool_calls");
        if (habits.argument_objects && calls != nullptr && calls->is_sequence())
            result = with_field(result.dict(), "tool_calls", mapped(*calls, with_object));
        return result;
    });
}

Value with_end_mark(const Value& messages) {
    if (!messages.is_sequence() || messages.sequence().items.empty()) return messages;
    std::vector<Value> items = messages.sequence().items;
    const Value& last = items.back();
    const Value* content = last.is_dict() ? last.dict().field("content") : nullptr;
    if (content == nullptr || !content->is_string()) return messages;
    items.back() = with_field(last.dict(), "content", content->text() + std::string(end_mark));
    return Value::list(std::move(items));
}

Result<std::string> cut_at_end_mark(std::string prompt) {
    const std::string_view trimmed = end_mark.substr(0, end_mark.size() - 1);
    const size_t at = prompt.rfind(trimmed);
    if (at == std::string::npos) {
        return invalid_argument(
            "continue_final_message is set, but the model's chat template does not write the final message "
            "out.",
            "continue_final_message");
    }
    const bool kept_blank = prompt.compare(at, end_mark.size(), end_mark) == 0;
    prompt.resize(at);
    if (!kept_blank) prompt.resize(prompt.find_last_not_of(" \t\r\n\f\v") + 1);
    return prompt;
}

}  // namespace troupe
