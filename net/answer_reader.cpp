#include "net/answer_reader.hpp"

#include "net/random_id.hpp"

namespace troupe::net {

AnswerParts AnswerReader::read(std::string_view text, bool ended) {
    AnswerParts parts;
    const auto add_calls = [&](ToolCallReader::Parts said) {
        parts.content += said.content;
        for (SpokenCall& call : said.calls)
            parts.calls.push_back({random_id("call_"), std::move(call.name), std::move(call.arguments)});
    };
    const auto add = [&](const ReasoningSplitter::Parts& said) {
        parts.reasoning += said.reasoning;
        add_calls(calls_.push(said.content));
    };
    add(reasoning_.push(text));
    if (!ended) return parts;
    add(reasoning_.finish());
    add_calls(calls_.finish());
    return parts;
}

}  // namespace troupe::net
