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
#include "model/tokenizer/decoder.hpp"
#include "model/tokenizer/normalizer.hpp"
#include "model/tokenizer/pre_tokenizer.hpp"

namespace troupe::tokenizer_json {

using Json = simdjson::dom::element;

// The member of an object; nothing where it is absent or null.
std::optional<Json> member(const Json& object, std::string_view key);
Result<bool> bool_or(const Json& object, std::string_view key, bool fallback);
Result<std::string_view> string_member(const Json& object, std::string_view key, std::string_view where);
Result<simdjson::dom::array> array_member(const Json& object, std::string_view key, std::string_view where);
// A string of one character.
Result<std::string_view> character_member(const Json& object, std::string_view key, std::string_view where);
// "pattern": {"String": ...} or {"Regex": ...}
Result<Regex> pattern_member(const Json& object, std::string_view where);
Error not_supported(std::string_view what, std::string_view type, std::string_view known);

Result<std::vector<NormalizerStep>> read_normalizer(const std::optional<Json>& json);

struct PreTokenizerParts {
    std::vector<PreTokenizerStep> steps;
    bool byte_level = false;  // the last step spells words in the byte-level alphabet; it is not in `steps`
};
Result<PreTokenizerParts> read_pre_tokenizer(const std::optional<Json>& json);

// "Metaspace", which is a pre-tokenizer and a decoder.
Result<MetaspacePreTokenizer> read_metaspace(const Json& json);

// Ids that a template puts before and after a text.
struct TemplateParts {
    std::vector<TokenId> prefix;
    std::vector<TokenId> suffix;
};
Result<TemplateParts> read_post_processor(const std::optional<Json>& json);

Result<Decoder> read_decoder(const std::optional<Json>& json);

}  // namespace troupe::tokenizer_json
