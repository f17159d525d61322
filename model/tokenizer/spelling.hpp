// How vocabularies spell what is not plain text.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace troupe {

inline constexpr std::string_view metaspace =
    "\xE2\x96\x81";  // U+2581, a space in SentencePiece's vocabularies

// The byte that "<0x0A>" spells.
std::optional<unsigned char> parse_byte_token(std::string_view text);

std::string replace_all(std::string_view text, std::string_view pattern, std::string_view replacement);

}  // namespace troupe
