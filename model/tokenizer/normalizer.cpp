#include "model/tokenizer/normalizer.hpp"

#include <algorithm>

#include "model/tokenizer/byte_level.hpp"
#include "model/tokenizer/unicode_tables.hpp"
#include "model/tokenizer/utf8.hpp"
#include "model/tokenizer/white_space.hpp"

namespace troupe {

namespace {

Result<std::string> apply_step(const PrependNormalizer& step, std::string text) {
    if (!text.empty()) text.insert(0, step.prefix);
    return text;
}

Result<std::string> apply_step(const ReplaceNormalizer& step, std::string text) {
    return Regex::Matcher(step.pattern).replace_all(text, step.replacement);
}

Result<std::string> apply_step(const StripNormalizer& step, std::string text) {
    if (step.right) text.resize(text.size() - trailing_white_space(text));
    if (step.left) text.erase(0, leading_white_space(text));
    return text;
}

Result<std::string> apply_step(const NormalizationForm& form, std::string text) {
    return normalize_unicode(text, form);
}

// The text with `change(character, out)` appended for each of its characters.
template <typename Change>
std::string change_characters(std::string_view text, Change change) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) change(decode_utf8(text, at), out);
    return out;
}

void append_lowercase(char32_t c, std::string& out) {
    if (c < 0x80) {
        out += static_cast<char>(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
        return;
    }
    const auto found =
        std::lower_bound(unicode::lowercases.begin(), unicode::lowercases.end(), c,
                         [](const unicode::Lowercase& l, char32_t value) { return l.upper < value; });
    const bool changes = found != unicode::lowercases.end() && found->upper == c;
    append_utf8(changes ? found->first : c, out);
    if (changes && found->second != 0) append_utf8(found->second, out);
}

Result<std::string> apply_step(const LowercaseNormalizer&, std::string text) {
    return change_characters(text, append_lowercase);
}

Result<std::string> apply_step(const StripAccentsNormalizer&, std::string text) {
    return change_characters(text, [](char32_t c, std::string& out) {
        if (unicode::class_of(c) != unicode::mark) append_utf8(c, out);
    });
}

// As Hugging Face's tokenizers list them, 0x8F and 0x9F included.
void append_nmt(char32_t c, std::string& out) {
    const bool dropped =
        (c >= 1 && c <= 8) || c == 0x0B || (c >= 0x0E && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F;
    const bool space = c == '\t' || c == '\n' || c == '\f' || c == '\r' || c == 0x1680 ||
                       (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x2581 ||
                       c == 0xFEFF || c == 0xFFFD;
    if (!dropped) append_utf8(space ? U' ' : c, out);
}

Result<std::string> apply_step(const NmtNormalizer&, std::string text) {
    return change_characters(text, append_nmt);
}

Result<std::string> apply_step(const ByteLevelNormalizer&, std::string text) {
    return byte_level_encode(text);
}

Result<std::string> apply_step(const CharsmapNormalizer& step, std::string text) {
    return step.map->apply(text);
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
