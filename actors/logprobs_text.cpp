#include "actors/logprobs_text.hpp"

#include <algorithm>

namespace troupe {
namespace {

TextLogprob as_text(const Tokenizer& tokenizer, const TokenLogprob& token) {
    return {token.token, std::string(tokenizer.token_bytes(token.token)), token.logprob};
}

}  // namespace

std::uint32_t count_characters(std::string_view text) {
    return static_cast<std::uint32_t>(std::count_if(
        text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

TextLogprobs as_text(const Tokenizer& tokenizer, const PositionLogprobs& position, std::uint32_t offset) {
    TextLogprobs made{as_text(tokenizer, position.token), position.rank, offset, {}};
    for (const TokenLogprob& one : position.top) made.top.push_back(as_text(tokenizer, one));
    return made;
}

PromptEvent describe_prompt(const std::shared_ptr<const Tokenizer>& tokenizer,
                            const std::vector<TokenId>& ids, const std::vector<PositionLogprobs>& logprobs,
                            bool skip_special) {
    PromptEvent event;
    StreamingDetokenizer detokenizer(tokenizer, {.skip_special = skip_special, .begins_text = true});
    std::uint32_t offset = 0;
    for (std::size_t i = 0; i < ids.size(); ++i) {
        if (i == 0 && logprobs.size() + 1 == ids.size())
            event.logprobs.push_back(as_text(*tokenizer, {{ids[0], 0.0F}, 0, {}}, 0));
        if (i > 0 && i <= logprobs.size())
            event.logprobs.push_back(as_text(*tokenizer, logprobs[i - 1], offset));
        const std::string piece = detokenizer.push(ids[i]);
        offset += count_characters(piece);
        event.text += piece;
    }
    event.text += detokenizer.flush();
    return event;
}

}  // namespace troupe
