#include "model/tokenizer/decoder.hpp"

#include <algorithm>

#include "model/tokenizer/byte_level.hpp"
#include "model/tokenizer/spelling.hpp"

namespace troupe {

namespace {

Result<std::string> apply_step(const ReplaceDecoder& step, std::string text, bool) {
    return Regex::Matcher(step.pattern).replace_all(text, step.content);
}

Result<std::string> apply_step(const MetaspaceDecoder& step, std::string text, bool first) {
    return replace_all(text, step.replacement, first && step.dropped_at_start ? "" : " ");
}

Result<std::string> apply_step(const StripDecoder& step, std::string text, bool) {
    const std::size_t length = step.character.size();
    std::string_view rest = text;
    for (std::size_t i = 0; i < step.start && rest.substr(0, length) == step.character; ++i)
        rest.remove_prefix(length);
    for (std::size_t i = 0; i < step.stop && rest.size() >= length; ++i) {
        if (rest.substr(rest.size() - length) != step.character) break;
        rest.remove_suffix(length);
    }
    return std::string(rest);
}

// As Hugging Face's tokenizers list them; of one token each.
std::string clean_up(std::string text) {
    constexpr std::pair<std::string_view, std::string_view> artifacts[] = {
        {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
        {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    for (const auto& [from, to] : artifacts) text = replace_all(text, from, to);
    return text;
}

Result<std::string> apply_step(const WordPieceDecoder& step, std::string text, bool first) {
    if (!first) {
        const bool continues = text.compare(0, step.prefix.size(), step.prefix) == 0;
        text = continues ? text.substr(step.prefix.size()) : " " + text;
    }
    return step.cleanup ? clean_up(std::move(text)) : text;
}

Result<std::string> apply_step(const SpaceDecoder&, std::string text, bool first) {
    return first ? text : " " + text;
}

Result<std::string> apply_step(const ByteFallbackDecoder&, std::string text, bool) {
    const auto byte = parse_byte_token(text);
    return byte ? std::string(1, static_cast<char>(*byte)) : text;
}

Result<std::string> apply_step(const ByteLevelDecoder&, std::string text, bool) {
    return byte_level_decode(text).value_or(text);
}

}  // namespace

bool Decoder::is_byte_level() const {
    return !steps.empty() && std::holds_alternative<ByteLevelDecoder>(steps.back());
}

bool Decoder::first_differs() const {
    return std::any_of(steps.begin(), steps.end(), [](const DecoderStep& step) {
        const auto* spaces = std::get_if<MetaspaceDecoder>(&step);
        return (spaces != nullptr && spaces->dropped_at_start) ||
               std::holds_alternative<WordPieceDecoder>(step) || std::holds_alternative<SpaceDecoder>(step);
    });
}

Result<std::string> Decoder::bytes_of(std::string_view spelling, bool first) const {
    std::string text(spelling);
    for (const DecoderStep& step : steps) {
        auto applied = std::visit([&](const auto& s) { return apply_step(s, std::move(text), first); }, step);
        if (!applied) return applied.error();
        text = std::move(*applied);
    }
    return text;
}

}  // namespace troupe
