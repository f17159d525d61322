#include "net/answer_reader.hpp"

#include <iterator>

namespace troupe::net {
namespace {

// Nine letters and digits: templates of Mistral's models refuse the ids of calls that are anything else.
std::string call_id(const std::string& seed, std::size_t number) {
    constexpr std::string_view digits = "0123456789abcdefghijklmnopqrstuvwxyz";
    std::string tail;
    for (; number > 0 || tail.size() < 2; number /= digits.size())
        tail.insert(tail.begin(), digits[number % digits.size()]);
    return seed.substr(0, 7) + tail;
}

}  // namespace

void AnswerParts::append(AnswerParts more) {
    reasoning += more.reasoning;
    content += more.content;
    calls.insert(calls.end(), std::make_move_iterator(more.calls.begin()),
                 std::make_move_iterator(more.calls.end()));
}

AnswerParts AnswerReader::read(std::string_view text, std::uint32_t tokens) {
    AnswerParts parts;
    const bool thought = reasoning_.thinks();
    add(parts, reasoning_.push(text));
    if (thought || reasoning_.thinks()) reasoning_tokens_ = tokens;
    return parts;
}

AnswerParts AnswerReader::read(const OutputTexts& texts) {
    AnswerParts parts;
    std::uint32_t begin = 0;
    for (const TextMark& mark : texts.marks) {
        const auto text = std::string_view(texts.text).substr(begin, mark.end - begin);
        parts.append(read(text, mark.completion_tokens));
        begin = mark.end;
    }
    return parts;
}

AnswerParts AnswerReader::finish(std::uint32_t tokens) {
    AnswerParts parts;
    if (reasoning_.thinks()) reasoning_tokens_ = tokens;
    add(parts, reasoning_.finish());
    add(parts, calls_.finish());
    return parts;
}

void AnswerReader::add(AnswerParts& parts, const ReasoningSplitter::Parts& said) {
    parts.reasoning += said.reasoning;
    add(parts, calls_.push(said.content));
}

void AnswerReader::add(AnswerParts& parts, ToolCallReader::Parts said) {
    parts.content += said.content;
    for (SpokenCall& call : said.calls) {
        parts.calls.push_back(
            {call_id(seed_, num_calls_++), std::move(call.name), std::move(call.arguments)});
    }
}

}  // namespace troupe::net
