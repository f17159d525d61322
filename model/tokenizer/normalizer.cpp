#include "model/tokenizer/normalizer.hpp"

#include "model/tokenizer/utf8.hpp"
#include "model/tokenizer/white_space.hpp"

namespace troupe {

namespace {

Result<std::string> apply_step(const PrependNormalizer& step, std::string text) {
    if (!text.empty()) text.insert(0, step.prefix);
    return text;
}

Result<std::string> apply_step(const ReplaceNormalizer& step, std::string text) {
    Regex::Matcher matcher(step.pattern);
    std::string replaced;
    std::size_t copied = 0;
    for (std::size_t from = 0; from <= text.size();) {
        const auto match = matcher.find(text, from);
        if (!match) return match.error();
        if (!*match) break;
        replaced.append(text, copied, (*match)->begin - copied);
        replaced += step.replacement;
        copied = (*match)->end;
        from = copied;
        if ((*match)->begin == (*match)->end) from += from < text.size() ? utf8_length({&text[from], 1}) : 1;
    }
    replaced.append(text, copied);
    return replaced;
}

Result<std::string> apply_step(const StripNormalizer& step, std::string text) {
    if (step.right) text.resize(text.size() - trailing_white_space(text));
    if (step.left) text.erase(0, leading_white_space(text));
    return text;
}

}  // namespace

Result<std::string> Normalizer::apply(std::string text) const {
    for (const NormalizerStep& step : steps_) {
        auto applied = std::visit([&text](const auto& s) { return apply_step(s, std::move(text)); }, step);
        if (!applied) return applied.error();
        text = std::move(*applied);
    }
    return text;
}

}  // namespace troupe
