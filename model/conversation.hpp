// Conversations as OpenAI's API has them, made into what a template expects: templates of transformers differ
// in whether they know the role developer and in how they want the arguments of tool calls.
#pragma once
#include <string>
#include <string_view>

#include "core/status.hpp"
#include "model/jinja/template.hpp"

namespace troupe {

struct ConversationHabits {
    bool knows_developer = false;  // else developers' messages become the system's
    bool argument_objects = true;  // tool calls carry their arguments as objects, else as JSON text
    bool null_content = false;     // a call without words has content none, else an empty text
};

// What the template is used to, told from its text and from how it renders a tool call.
ConversationHabits habits_of(const jinja::Template& parsed, std::string_view source);

// The messages with roles and arguments as the template wants them. `messages` is a list of dicts; what has
// another shape is left as it is, for the template to judge.
jinja::Value adapted(const jinja::Value& messages, const ConversationHabits& habits);

// continue_final_message: the mark goes to the end of the last message's content, and the rendered prompt
// ends where it is found. As transformers does it: if the template trimmed the blank behind the mark, the
// text before it is trimmed as well.
jinja::Value with_end_mark(const jinja::Value& messages);
Result<std::string> cut_at_end_mark(std::string prompt);

}  // namespace troupe
