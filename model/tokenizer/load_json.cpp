#include <simdjson.h>

#include "model/formats/mapped_file.hpp"
#include "model/formats/printable.hpp"
#include "model/tokenizer/json_model.hpp"
#include "model/tokenizer/json_parts.hpp"
#include "model/tokenizer/loaders.hpp"

namespace troupe {

namespace {

using tokenizer_json::Json;

constexpr std::size_t max_file_bytes = 1U << 29;

Result<Json> parse_file(const std::filesystem::path& path, simdjson::dom::parser& parser) {
    const auto file = MappedFile::open(path);
    if (!file) return file.error();
    if ((*file)->size() > max_file_bytes) {
        return invalid_argument("The file has more than " + std::to_string(max_file_bytes) + " bytes.");
    }
    Json json;
    const auto bytes = (*file)->bytes();
    const auto error = parser.parse(reinterpret_cast<const char*>(bytes.data()), bytes.size()).get(json);
    if (error)
        return invalid_argument(std::string("The file is not JSON: ") + simdjson::error_message(error) + ".");
    if (!json.is_object()) return invalid_argument("The file should hold a JSON object.");
    return json;
}

class JsonLoader {
  public:
    explicit JsonLoader(const Json& root) : root_(root) {}

    Result<TokenizerParts> load() {
        const auto model = tokenizer_json::member(root_, "model");
        if (!model) return invalid_argument("There is no 'model'; this is no tokenizer.json.");
        tokenizer_json::ModelReader reader(*model);
        if (Status s = reader.read_options(); !s) return s.error();
        const auto byte_level = read_components(reader.takes_bytes());
        if (!byte_level) return byte_level.error();
        if (Status s = reader.read_vocabulary(parts_.vocabulary); !s) return s.error();
        if (Status s = read_added_tokens(reader); !s) return s.error();
        if (Status s = reader.build(*byte_level, parts_); !s) return s.error();
        if (Status s = check_special_ids(); !s) return s.error();
        if (Status s = spell_tokens(); !s) return s.error();
        return std::move(parts_);
    }

  private:
    // Whether words are handed over as bytes.
    Result<bool> read_components(bool model_takes_bytes) {
        auto normalizer = tokenizer_json::read_normalizer(tokenizer_json::member(root_, "normalizer"));
        if (!normalizer) return normalizer.error();
        parts_.normalizer = Normalizer(std::move(*normalizer));
        auto pre_tokenizer =
            tokenizer_json::read_pre_tokenizer(tokenizer_json::member(root_, "pre_tokenizer"));
        if (!pre_tokenizer) return pre_tokenizer.error();
        const bool byte_level = pre_tokenizer->byte_level && model_takes_bytes;
        if (pre_tokenizer->byte_level && !byte_level)
            pre_tokenizer->steps.emplace_back(ByteLevelPreTokenizer{});
        parts_.pre_tokenizer = PreTokenizer(std::move(pre_tokenizer->steps));
        auto post = tokenizer_json::read_post_processor(tokenizer_json::member(root_, "post_processor"));
        if (!post) return post.error();
        parts_.prefix = std::move(post->prefix);
        parts_.suffix = std::move(post->suffix);
        auto decoder = tokenizer_json::read_decoder(tokenizer_json::member(root_, "decoder"));
        if (!decoder) return decoder.error();
        parts_.decoder = std::move(*decoder);
        return byte_level;
    }

    Status read_added_tokens(const tokenizer_json::ModelReader& reader) {
        if (!tokenizer_json::member(root_, "added_tokens")) return {};
        const auto tokens = tokenizer_json::array_member(root_, "added_tokens", "the file");
        if (!tokens) return tokens.error();
        for (const Json element : *tokens) {
            if (Status s = read_added_token(element, reader); !s) return s;
        }
        return {};
    }

    Status read_added_token(const Json& element, const tokenizer_json::ModelReader& reader) {
        AddedToken token;
        const auto content = tokenizer_json::string_member(element, "content", "an added token");
        if (!content) return content.error();
        token.content = *content;
        const auto id_json = tokenizer_json::member(element, "id");
        if (!id_json) return invalid_argument("The added token '" + printable(*content) + "' has no id.");
        const auto id = reader.read_id(*id_json, *content);
        if (!id) return id.error();
        token.id = *id;
        const std::pair<std::string_view, bool*> flags[] = {{"special", &token.special},
                                                            {"single_word", &token.single_word},
                                                            {"lstrip", &token.lstrip},
                                                            {"rstrip", &token.rstrip},
                                                            {"normalized", &token.normalized}};
        for (const auto& [key, flag] : flags) {
            const auto value = tokenizer_json::bool_or(element, key, false);
            if (!value) return value.error();
            *flag = *value;
        }
        if (Status s = tokenizer_json::set_token(parts_.vocabulary, token.id, token.content); !s) return s;
        VocabularyToken& entry = parts_.vocabulary[token.id];
        entry.special = token.special;
        if (token.normalized) {
            auto normalized = parts_.normalizer.apply(token.content);
            if (!normalized) return normalized.error();
            if (*normalized != token.content) parts_.respelled[token.id] = *normalized;
            token.content = std::move(*normalized);
        }
        // An added token stands for its own text; only the byte-level alphabet could mistake it for other
        // bytes.
        entry.bytes = token.content;
        is_added_.resize(parts_.vocabulary.size());
        is_added_[token.id] = true;
        (token.normalized ? parts_.added_normalized : parts_.added).add(std::move(token));
        return {};
    }

    Status check_special_ids() const {
        for (const auto* ids : {&parts_.prefix, &parts_.suffix}) {
            for (const TokenId id : *ids) {
                if (static_cast<std::size_t>(id) >= parts_.vocabulary.size()) {
                    return invalid_argument("The post-processor adds the id " + std::to_string(id) +
                                            ", which is not in the vocabulary.");
                }
            }
        }
        return {};
    }

    // What each token contributes to a text.
    Status spell_tokens() {
        is_added_.resize(parts_.vocabulary.size());
        const bool byte_level = parts_.decoder.is_byte_level();
        for (std::size_t i = 0; i < parts_.vocabulary.size(); ++i) {
            VocabularyToken& token = parts_.vocabulary[i];
            const auto respelled = parts_.respelled.find(static_cast<TokenId>(i));
            const bool as_is = is_added_[i] && byte_level && respelled == parts_.respelled.end();
            if (token.text.empty() || as_is) continue;
            auto bytes = parts_.decoder.bytes_of(
                respelled == parts_.respelled.end() ? token.text : respelled->second, false);
            if (!bytes) return bytes.error();
            token.bytes = std::move(*bytes);
        }
        return {};
    }

    const Json& root_;
    std::vector<bool> is_added_;  // by id
    TokenizerParts parts_;
};

// "bos_token": "<s>" or {"content": "<s>", ...}; a text that is no token counts as none.
std::optional<TokenId> find_named_token(simdjson::ondemand::object config, std::string_view key,
                                        const TokenizerParts& parts) {
    simdjson::ondemand::value value;
    std::string_view text;
    if (config[key].get(value) || (value.get(text) && value["content"].get(text))) return std::nullopt;
    return find_token(parts.vocabulary, text);
}

// Read on demand: these files hold numbers of 31 digits (model_max_length), which the DOM parser refuses.
Status read_config(const std::filesystem::path& path, TokenizerParts& parts) {
    const auto file = MappedFile::open(path);
    if (!file) return file.error();
    const auto bytes = (*file)->bytes();
    const simdjson::padded_string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    simdjson::ondemand::parser parser;
    simdjson::ondemand::document document;
    simdjson::ondemand::object config;
    if (parser.iterate(text).get(document) || document.get_object().get(config)) {
        return invalid_argument("The tokenizer_config.json beside it is not a JSON object.");
    }
    parts.bos = find_named_token(config, "bos_token", parts);
    parts.eos = find_named_token(config, "eos_token", parts);
    return {};
}

}  // namespace

Result<TokenizerParts> tokenizer_from_json(const std::filesystem::path& path,
                                           const std::filesystem::path& config_path) {
    simdjson::dom::parser parser;
    const auto root = parse_file(path, parser);
    if (!root) return root.error();
    auto parts = JsonLoader(*root).load();
    std::error_code ignored;
    if (!parts || !std::filesystem::exists(config_path, ignored)) return parts;
    if (Status s = read_config(config_path, *parts); !s) return s.error();
    return parts;
}

}  // namespace troupe
