// SentencePiece's precompiled map of characters (normalizer "Precompiled"): a double array trie of byte
// strings (darts-clone's layout: Yata, Morita, Fuketa, Aoe: Fast string matching with space-efficient word
// graphs) whose values are offsets of NUL-terminated replacements.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.hpp"
#include "model/tokenizer/regex.hpp"

namespace troupe {

class Charsmap {
  public:
    // `base64`: bytes of the trie (uint32), the trie, the replacements.
    static Result<Charsmap> parse(std::string_view base64);

    // As Hugging Face's tokenizers apply it: a grapheme of less than six bytes is replaced whole by what its
    // shortest prefix in the map maps to; of other graphemes each character is. Fails on a map that points
    // outside of itself.
    Result<std::string> apply(std::string_view text) const;

  private:
    explicit Charsmap(Regex grapheme) : grapheme_(std::move(grapheme)) {}

    Status append_mapped(std::string_view grapheme, std::string& out) const;
    // The replacement of the shortest prefix of `text` in the map; nothing if it has none.
    Result<std::optional<std::string_view>> find(std::string_view text) const;

    Regex grapheme_;
    std::vector<std::uint32_t> units_;
    std::string replacements_;
};

}  // namespace troupe
