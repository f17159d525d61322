// Tells what a model thinks from what it says, for models whose chat template knows <think>...</think>. A
// pure function of the text, however it is cut into pieces.
#pragma once
#include <string>
#include <string_view>

#include "actors/client_port.hpp"

namespace troupe::net {

class ReasoningSplitter {
  public:
    // none: everything is content; outside: reasoning if the text begins with the tag; inside: the prompt has
    // opened it already.
    explicit ReasoningSplitter(Thinking start = Thinking::none);

    struct Parts {
        std::string reasoning, content;
        bool empty() const { return reasoning.empty() && content.empty(); }
    };
    // What the text so far shows beyond earlier calls. Held back: what may be a tag, and white space around
    // tags, which belongs to neither part.
    Parts push(std::string_view text);
    Parts finish();  // the text has ended: what was held back

    // Whether the text so far ends within the reasoning.
    bool thinks() const { return state_ == State::reasoning_begins || state_ == State::reasoning; }

  private:
    enum class State : unsigned char { opening, reasoning_begins, reasoning, content_begins, content };
    bool step(Parts& parts);  // false: more text is needed
    bool step_opening();
    bool step_reasoning(Parts& parts);

    State state_;
    std::string held_;
};

// All at once.
ReasoningSplitter::Parts split_reasoning(std::string_view text, Thinking start);

}  // namespace troupe::net
