#include "model/tokenizer/normalizer.hpp"

#include "model/tokenizer/nfc.hpp"
#include "model/tokenizer/white_space.hpp"

namespace troupe {

namespace {

Result<std::string> apply_step(const PrependNormalizer& step, std::string text) {
    if (!text.empty()) text.insert(0, step.prefix);
    return text;
}

Result<std::string> apply_step(const ReplaceNormalizer& step, std::string text) {
    std::vector<Regex::Range> matches;
    if (Status s = Regex::Matcher(step.pattern).find_all(text, matches); !s) return s.error();
    std::string replaced;
    std::size_t copied = 0;
    for (const auto [begin, end] : matches) {
        replaced.append(text, copied, begin - copied);
        replaced += step.replacement;
        copied = end;
    }
    replaced.append(text, copied);
    return replaced;
}

Result<std::string> apply_step(const StripNormalizer& step, std::string text) {
    if (step.right) text.resize(text.size() - trailing_white_space(text));
    if (step.left) text.erase(0, leading_white_space(text));
    return text;
}

Result<std::string> apply_step(const NfcNormalizer&, std::string text) { return to_nfc(text); }

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
