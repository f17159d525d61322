#include "model/chat_template.hpp"

#include <utility>

#include "model/jinja/json.hpp"

namespace troupe {

ChatTemplate::ChatTemplate(jinja::Template parsed, std::string bos, std::string eos)
    : template_(std::move(parsed)), bos_(std::move(bos)), eos_(std::move(eos)) {}

Result<ChatTemplate> ChatTemplate::parse(std::string source, std::string bos, std::string eos) {
    auto parsed = jinja::Template::parse(std::move(source));
    if (!parsed) return invalid_argument("The chat template cannot be read: " + parsed.error().message);
    return ChatTemplate(*std::move(parsed), std::move(bos), std::move(eos));
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

    jinja::RenderOptions options;
    options.now = now;
    auto text = template_.render(std::move(variables), options);
    if (!text)
        return invalid_argument(
            "The model's chat template refuses this conversation: " + text.error().message, "messages");
    return text;
}

}  // namespace troupe
