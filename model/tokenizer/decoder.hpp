// How the spelling of a token becomes the bytes that it contributes to a text: the decoders of a
// tokenizer.json, as far as they work on one token at a time.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/status.hpp"
#include "model/tokenizer/regex.hpp"

namespace troupe {

struct ReplaceDecoder {
    Regex pattern;
    std::string content;
};

struct MetaspaceDecoder {  // each replacement becomes a space; in the first token of a text it goes
    std::string replacement;
    bool dropped_at_start = true;
};

struct StripDecoder {  // of one token: up to so many of a character at its ends
    std::string character;
    std::size_t start = 0;
    std::size_t stop = 0;
};

struct WordPieceDecoder {  // a space before tokens that do not begin with the prefix, which goes
    std::string prefix;
    bool cleanup = true;
};

struct SpaceDecoder {};  // a space before every token but the first: what there is without a decoder

struct ByteFallbackDecoder {};  // "<0x0A>" is that byte

struct ByteLevelDecoder {};  // GPT-2's alphabet

using DecoderStep = std::variant<ReplaceDecoder, MetaspaceDecoder, StripDecoder, WordPieceDecoder,
                                 SpaceDecoder, ByteFallbackDecoder, ByteLevelDecoder>;

struct Decoder {
    std::vector<DecoderStep> steps;
    // Of the whole text: up to so many of a character, which is ASCII, at its ends.
    char stripped = ' ';
    std::size_t strip_start = 0;
    std::size_t strip_stop = 0;

    bool is_byte_level() const;
    // Whether a token that begins a text is spelled differently.
    bool first_differs() const;
    // Fails only if a regular expression gives up.
    Result<std::string> bytes_of(std::string_view spelling, bool first) const;
};

}  // namespace troupe
