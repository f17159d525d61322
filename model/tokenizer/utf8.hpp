// UTF-8 as the tokenizer needs it: validity, characters, and whole characters out of a stream of bytes.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace troupe {

inline constexpr std::string_view replacement_character = "\xEF\xBF\xBD";  // U+FFFD

bool is_valid_utf8(std::string_view text);

// Bytes of the character at the start of valid, non-empty UTF-8.
std::size_t utf8_length(std::string_view text);

void append_utf8(char32_t code_point, std::string& out);

// The code point at `position` of valid UTF-8; moves `position` behind it.
char32_t decode_utf8(std::string_view text, std::size_t& position);

// Turns bytes into text, never giving out part of a character. What cannot become a character is replaced by
// U+FFFD, one for each maximal prefix of a character, as Python's bytes.decode(errors="replace") does
// (Unicode, section 3.9): however the bytes are cut, the pieces together are the same text.
class Utf8Stream {
  public:
    // The text that is complete with these bytes.
    std::string push(std::string_view bytes);

    // At the end: U+FFFD if a character is incomplete, else nothing. The stream can then be used anew.
    std::string flush();

  private:
    std::string pending_;  // a proper prefix of some character, at most 3 bytes
};

// Valid UTF-8 from any bytes, by the rule above.
std::string replace_invalid_utf8(std::string_view bytes);

}  // namespace troupe
