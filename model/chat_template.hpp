// A model's chat template: the Jinja text that turns a conversation into the prompt the model was trained on.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "core/status.hpp"
#include "model/conversation.hpp"
#include "model/jinja/template.hpp"

namespace troupe {

// Immutable; any number of threads may render at once.
class ChatTemplate {
  public:
    // bos and eos are what the template writes for bos_token and eos_token; empty where the model has none.
    // Errors: "The chat template cannot be read: line 12: ...".
    static Result<ChatTemplate> parse(std::string source, std::string bos, std::string eos);

    // `variables_json` is an object with `messages` and whatever else the request brings (tools, documents,
    // enable_thinking, ...); `add_generation_prompt` is true unless it says otherwise. The messages are
    // adapted to the template's habits; with `continue_final_message` the prompt ends where the last one's
    // content does. `now` is what strftime_now sees. Errors are invalid_argument, with the template's own
    // message when it refuses the conversation.
    Result<std::string> render(const std::string& variables_json, std::optional<jinja::CivilTime> now) const;

    // Whether it makes something of a variable of that name.
    bool reads(const std::string& name) const { return template_.reads(name); }

    // Where the model's text will stand to <think>: nowhere if the template does not know the tag, inside if
    // the rendered prompt ends behind it, else before it.
    bool knows_thinking() const { return knows_thinking_; }
    static bool ends_thinking(std::string_view prompt);

  private:
    ChatTemplate(jinja::Template parsed, ConversationHabits habits, std::string bos, std::string eos);

    jinja::Template template_;
    ConversationHabits habits_;
    std::string bos_, eos_;
    bool knows_thinking_ = false;
};

}  // namespace troupe
