// The components of a tokenizer.json: normalizer, pre-tokenizer, post-processor, decoder. Each is a JSON
// object with a "type", or null; types and options that we do not know are refused by name.
#pragma once
#include <simdjson.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/ids.hpp"
#include "core/status.hpp"
#include "model/tokenizer/normalizer.hpp"
#include "model/tokenizer/pre_tokenizer.hpp"

namespace troupe::tokenizer_json {

using Json = simdjson::dom::element;

// The member of an object; nothing where it is absent or null.
std::optional<Json> member(const Json& object, std::string_view key);
Result<bool> bool_or(const Json& object, std::string_view key, bool fallback);
Result<std::string_view> string_member(const Json& object, std::string_view key, std::string_view where);

Result<std::vector<NormalizerStep>> read_normalizer(const std::optional<Json>& json);

struct PreTokenizerParts {
    std::vector<PreTokenizerStep> steps;
    bool byte_level = false;  // words are cut into bytes
};
Result<PreTokenizerParts> read_pre_tokenizer(const std::optional<Json>& json);

// Ids that a template puts before and after a text.
struct TemplateParts {
    std::vector<TokenId> prefix;
    std::vector<TokenId> suffix;
};
Result<TemplateParts> read_post_processor(const std::optional<Json>& json);

// How a token's spelling becomes the bytes it contributes, and what is dropped at the start of a text.
struct Decoder {
    enum class Kind : unsigned char { byte_level, replaced };
    Kind kind = Kind::replaced;
    std::vector<std::pair<std::string, std::string>> replacements;
    bool byte_fallback = false;  // "<0x0A>" is that byte
    std::string before_each;     // a decoder of null joins tokens with spaces
    std::size_t leading_spaces_dropped = 0;

    std::string bytes_of(std::string_view spelling) const;
};
Result<Decoder> read_decoder(const std::optional<Json>& json);

}  // namespace troupe::tokenizer_json
