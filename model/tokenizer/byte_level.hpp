// The alphabet of byte-level vocabularies: each byte is spelled as one printable character, after GPT-2's
// encoder.py (printable Latin-1 stands for itself, the other 68 bytes for U+0100 and following).
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace troupe {

// Any bytes, spelled in the alphabet.
std::string byte_level_encode(std::string_view bytes);

// The bytes that `spelling` stands for; nothing if it holds a character that stands for no byte. Valid UTF-8
// only.
std::optional<std::string> byte_level_decode(std::string_view spelling);

}  // namespace troupe
