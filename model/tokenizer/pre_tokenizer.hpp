// Cuts a normalized text into words; merges never cross their borders.
#pragma once
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/status.hpp"
#include "model/tokenizer/regex.hpp"

namespace troupe {

// What becomes of the matches of a pattern, and of what lies between (named as in tokenizer.json).
enum class SplitBehavior : std::uint8_t {
    removed,
    isolated,
    merged_with_previous,
    merged_with_next,
    contiguous
};

struct SplitPreTokenizer {
    Regex pattern;
    SplitBehavior behavior = SplitBehavior::isolated;
    bool invert = false;  // matches and what lies between change places
};

struct AddSpacePreTokenizer {};  // ByteLevel's add_prefix_space: a space before what does not begin with one

struct ByteLevelPreTokenizer {};  // each byte as a character of the byte-level alphabet

struct MetaspacePreTokenizer {
    enum class Prepend : std::uint8_t { never, first, always };
    std::string replacement;  // of each space
    Prepend prepend = Prepend::always;
    bool split = true;  // a word begins at each replacement
};

using PreTokenizerStep =
    std::variant<SplitPreTokenizer, AddSpacePreTokenizer, ByteLevelPreTokenizer, MetaspacePreTokenizer>;

struct Word {
    std::string_view text;
    bool begins_input = false;  // nothing of the whole input precedes it
};

// The words of one text. Text that steps change lives in `changed`; the rest are views of the caller's text.
struct Words {
    std::vector<Word> words;
    std::deque<std::string> changed;
};

class PreTokenizer {
  public:
    PreTokenizer() = default;
    explicit PreTokenizer(std::vector<PreTokenizerStep> steps) : steps_(std::move(steps)) {}

    // `text` must outlive `words`, whose former content is dropped.
    Status apply(std::string_view text, bool begins_input, Words& words) const;

  private:
    std::vector<PreTokenizerStep> steps_;
};

}  // namespace troupe
