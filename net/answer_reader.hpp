// What a model says in a conversation, taken apart: what it thinks, what it says, which tools it calls.
#pragma once
#include "net/messages.hpp"
#include "net/reasoning.hpp"
#include "net/tool_calls.hpp"

namespace troupe::net {

struct AnswerParts {
    std::string reasoning = {}, content = {};
    std::vector<ToolCall> calls = {};
    bool empty() const { return reasoning.empty() && content.empty() && calls.empty(); }
};

class AnswerReader {
  public:
    // `tools`: the names of those that the model has been shown.
    explicit AnswerReader(Thinking thinking = Thinking::none, std::vector<std::string> tools = {})
        : reasoning_(thinking), calls_(std::move(tools)) {}

    // What the text so far shows beyond earlier calls, `ended`: and all that was held back.
    AnswerParts read(std::string_view text, bool ended);

  private:
    ReasoningSplitter reasoning_;
    ToolCallReader calls_;
};

}  // namespace troupe::net
