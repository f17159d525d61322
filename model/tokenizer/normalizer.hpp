// What is done to a text before it is split into words.
#pragma once
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/status.hpp"
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

struct NfcNormalizer {};

using NormalizerStep = std::variant<PrependNormalizer, ReplaceNormalizer, StripNormalizer, NfcNormalizer>;

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
