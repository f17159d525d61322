#include "model/chat_template.hpp"

#include <utility>

#include "model/jinja/json.hpp"

namespace troupe {

ChatTemplate::ChatTemplate(jinja::Template parsed, ConversationHabits habits, std::string bos,
                           std::string eos)
    : template_(std::move(parsed)), habits_(habits), bos_(std::move(bos)), eos_(std::move(eos)) {}

Result<ChatTemplate> ChatTemplate::parse(std::string source, std::string bos, std::string eos) {
    auto parsed = jinja::Template::parse(source);
    if (!parsed) return invalid_argument("The chat template cannot be read: " + parsed.error().message);
    const ConversationHabits habits = habits_of(*parsed, source);
    ChatTemplate chat(*std::move(parsed), habits, std::move(bos), std::move(eos));
    chat.knows_thinking_ = source.find("</think>") != std::string::npos;
    return chat;
}

Result<std::string> ChatTemplate::render(const std::string& variables_json,
                                         std::optional<jinja::CivilTime> now) const {
    const auto given = jinja::parse_json(variables_json);
    if (!given) return given.error();
    if (!given->is_dict()) return invalid_argument("The variables of a chat template must be a JSON object.");

    jinja::Dict variables;
    variables.set("bos_token", bos_);
    variables.set("eos_token", eos_);
    variables.set("add_generation_prompt", true);
    variables.set("tools", {});  // transformers defines these two whether the caller has them or not
    variables.set("documents", {});
    for (const auto& [name, value] : given->dict().entries()) variables.set(name, value);
    const jinja::Value* flag = given->dict().field("continue_final_message");
    const bool continues = flag != nullptr && flag->truthy();
    if (const jinja::Value* messages = given->dict().field("messages")) {
        const jinja::Value wanted = adapted(*messages, habits_);
        variables.set("messages", continues ? with_end_mark(wanted) : wanted);
    }

    jinja::RenderOptions options;
    options.now = now;
    auto text = template_.render(std::move(variables), options);
    if (!text)
        return invalid_argument(
            "The model's chat template refuses this conversation: " + text.error().message, "messages");
    return continues ? cut_at_end_mark(*std::move(text)) : text;
}

bool ChatTemplate::ends_thinking(std::string_view prompt) {
    return prompt.substr(0, prompt.find_last_not_of(" \n") + 1).ends_with("<think>");
}

}  // namespace troupe
