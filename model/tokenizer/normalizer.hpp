// What is done to a text before it is split into words.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/status.hpp"
#include "model/tokenizer/charsmap.hpp"
#include "model/tokenizer/normalization_forms.hpp"
#include "model/tokenizer/regex.hpp"

namespace troupe {

struct PrependNormalizer {
    std::string prefix;  // before every text that is not empty
};

struct ReplaceNormalizer {
    Regex pattern;
    std::string replacement;
};

struct StripNormalizer {  // white space
    bool left = false;
    bool right = false;
};

struct LowercaseNormalizer {};  // character by character

struct StripAccentsNormalizer {};  // drops combining marks; what is composed keeps its accents

struct NmtNormalizer {};  // drops control characters, makes spaces of others (Google's NMT)

struct ByteLevelNormalizer {};  // each byte as a character of the byte-level alphabet

struct CharsmapNormalizer {
    std::shared_ptr<const Charsmap> map;
};

using NormalizerStep = std::variant<PrependNormalizer, ReplaceNormalizer, StripNormalizer, NormalizationForm,
                                    LowercaseNormalizer, StripAccentsNormalizer, NmtNormalizer,
                                    ByteLevelNormalizer, CharsmapNormalizer>;

class Normalizer {
  public:
    Normalizer() = default;
    explicit Normalizer(std::vector<NormalizerStep> steps) : steps_(std::move(steps)) {}

    bool empty() const { return steps_.empty(); }
    Result<std::string> apply(std::string text) const;

  private:
    std::vector<NormalizerStep> steps_;
};

}  // namespace troupe
