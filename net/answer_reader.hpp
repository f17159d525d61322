// What a model says in a conversation, taken apart: what it thinks, what it says, which tools it calls.
#pragma once
#include "net/messages.hpp"
#include "net/random_id.hpp"
#include "net/reasoning.hpp"
#include "net/tool_calls.hpp"

namespace troupe::net {

struct AnswerParts {
    std::string reasoning = {}, content = {};
    std::vector<ToolCall> calls = {};
    bool empty() const { return reasoning.empty() && content.empty() && calls.empty(); }
    void append(AnswerParts more);
};

class AnswerReader {
  public:
    // `tools`: the names of those that the model has been shown. `seed`: letters and digits that the ids of
    // its calls come from, with their number.
    explicit AnswerReader(Thinking thinking = Thinking::none, std::vector<std::string> tools = {},
                          std::string seed = random_id(""))
        : reasoning_(thinking), calls_(std::move(tools)), seed_(std::move(seed)) {}

    // What the text so far shows beyond earlier calls. `tokens`: how many had been generated with it.
    AnswerParts read(std::string_view text, std::uint32_t tokens);
    AnswerParts read(const OutputTexts& texts);  // the same, one after the other
    AnswerParts finish(std::uint32_t tokens);    // the text has ended: and all that was held back

    // Those of the reasoning and its tags, of the tokens so far.
    std::uint32_t reasoning_tokens() const { return reasoning_tokens_; }

  private:
    void add(AnswerParts& parts, const ReasoningSplitter::Parts& said);
    void add(AnswerParts& parts, ToolCallReader::Parts said);

    ReasoningSplitter reasoning_;
    ToolCallReader calls_;
    std::string seed_;
    std::size_t num_calls_ = 0;
    std::uint32_t reasoning_tokens_ = 0;
};

}  // namespace troupe::net
