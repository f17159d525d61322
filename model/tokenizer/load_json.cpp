#include <simdjson.h>

#include "model/formats/mapped_file.hpp"
#include "model/formats/printable.hpp"
#include "model/tokenizer/byte_level.hpp"
#include "model/tokenizer/flat_hash.hpp"
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
        if (Status s = read_components(); !s) return s.error();
        if (Status s = check_model(*model); !s) return s.error();
        if (Status s = read_vocabulary(*model); !s) return s.error();
        if (Status s = read_merges(*model); !s) return s.error();
        if (Status s = read_added_tokens(); !s) return s.error();
        if (Status s = check_special_ids(); !s) return s.error();
        parts_.bpe = std::make_unique<const Bpe>(std::move(bpe_));
        return std::move(parts_);
    }

  private:
    Status read_components() {
        auto normalizer = tokenizer_json::read_normalizer(tokenizer_json::member(root_, "normalizer"));
        if (!normalizer) return normalizer.error();
        parts_.normalizer = Normalizer(std::move(*normalizer));
        auto pre_tokenizer =
            tokenizer_json::read_pre_tokenizer(tokenizer_json::member(root_, "pre_tokenizer"));
        if (!pre_tokenizer) return pre_tokenizer.error();
        parts_.pre_tokenizer = PreTokenizer(std::move(pre_tokenizer->steps));
        bpe_.byte_level = pre_tokenizer->byte_level;
        auto post = tokenizer_json::read_post_processor(tokenizer_json::member(root_, "post_processor"));
        if (!post) return post.error();
        parts_.prefix = std::move(post->prefix);
        parts_.suffix = std::move(post->suffix);
        auto decoder = tokenizer_json::read_decoder(tokenizer_json::member(root_, "decoder"));
        if (!decoder) return decoder.error();
        decoder_ = std::move(*decoder);
        parts_.leading_spaces_dropped = decoder_.leading_spaces_dropped;
        return {};
    }

    // What a BPE model can say besides its vocabulary and merges.
    Status check_model(const Json& model) {
        std::string_view type = "BPE";  // files of old leave it out
        if (const auto given = tokenizer_json::member(model, "type"); given && given->get(type)) type = "?";
        if (type != "BPE") {
            return invalid_argument("The tokenizer model '" + printable(type) +
                                    "' is not supported; BPE is.");
        }
        for (const std::string_view key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
            std::string_view text;
            if (const auto value = tokenizer_json::member(model, key);
                value && (value->get(text) || !text.empty())) {
                return invalid_argument("The option '" + std::string(key) +
                                        "' of the BPE model is not supported.");
            }
        }
        double dropout = 0;
        if (const auto value = tokenizer_json::member(model, "dropout");
            value && (value->get(dropout) || dropout != 0)) {
            return invalid_argument(
                "The option 'dropout' of the BPE model is not supported: it makes ids random.");
        }
        const auto byte_fallback = tokenizer_json::bool_or(model, "byte_fallback", false);
        const auto ignore_merges = tokenizer_json::bool_or(model, "ignore_merges", false);
        const auto fuse_unknown = tokenizer_json::bool_or(model, "fuse_unk", false);
        for (const auto* flag : {&byte_fallback, &ignore_merges, &fuse_unknown}) {
            if (!*flag) return flag->error();
        }
        byte_fallback_ = *byte_fallback;
        bpe_.ignore_merges = *ignore_merges;
        bpe_.fuse_unknown = *fuse_unknown;
        return {};
    }

    Status read_vocabulary(const Json& model) {
        simdjson::dom::object vocab;
        if (model["vocab"].get(vocab))
            return invalid_argument("'vocab' of the BPE model should be an object.");
        std::size_t count = 0;
        for ([[maybe_unused]] const auto entry : vocab) ++count;
        max_id_ = 2 * count + 65536;
        parts_.vocabulary.reserve(count + 1024);
        for (const auto [text, element] : vocab) {
            const auto id = read_id(element, text);
            if (!id) return id.error();
            if (Status s = set_token(*id, text); !s) return s;
        }
        bpe_.byte_tokens.fill(-1);
        bpe_.spellings.resize(parts_.vocabulary.size());
        for (std::size_t i = 0; i < parts_.vocabulary.size(); ++i) {
            VocabularyToken& token = parts_.vocabulary[i];
            if (token.text.empty()) continue;
            token.bytes = decoder_.bytes_of(token.text);
            const auto byte = byte_fallback_ ? parse_byte_token(token.text) : std::nullopt;
            if (byte) {
                bpe_.byte_tokens[*byte] = static_cast<TokenId>(i);
            } else if (bpe_.byte_level) {
                bpe_.spellings[i] = byte_level_decode(token.text).value_or("");
            } else {
                bpe_.spellings[i] = token.text;
            }
        }
        bpe_.vocab_size = parts_.vocabulary.size();
        return {};
    }

    Result<TokenId> read_id(const Json& element, std::string_view text) const {
        std::uint64_t id = 0;
        if (element.get(id) || id >= max_id_) {
            return invalid_argument("The id of token '" + printable(text) + "' should be a number below " +
                                    std::to_string(max_id_) + ", about twice the size of the vocabulary.");
        }
        return static_cast<TokenId>(id);
    }

    Status set_token(TokenId id, std::string_view text) {
        if (static_cast<std::size_t>(id) >= parts_.vocabulary.size()) parts_.vocabulary.resize(id + 1);
        VocabularyToken& token = parts_.vocabulary[id];
        if (!token.text.empty() && token.text != text) {
            return invalid_argument("The tokens '" + printable(token.text) + "' and '" + printable(text) +
                                    "' have the same id " + std::to_string(id) + ".");
        }
        token.text = text;
        return {};
    }

    Status read_merges(const Json& model) {
        simdjson::dom::array merges;
        if (model["merges"].get(merges))
            return invalid_argument("'merges' of the BPE model should be an array.");
        const SpellingTable ids = index_by_text(parts_.vocabulary);
        if (const auto unknown = tokenizer_json::member(model, "unk_token")) {
            std::string_view text;
            if (unknown->get(text) || (bpe_.unknown = ids.find(text)) < 0) {
                return invalid_argument("'unk_token' of the BPE model should be a token of its vocabulary.");
            }
        }
        for (const Json merge : merges) {
            std::string_view left;
            std::string_view right;
            if (!split_merge(merge, left, right)) {
                return invalid_argument("Merge " + std::to_string(bpe_.merges.size()) +
                                        " should be two tokens, \"a b\" or [\"a\", \"b\"].");
            }
            if (Status s = add_merge(ids, left, right, bpe_); !s) return s;
        }
        return {};
    }

    static bool split_merge(const Json& merge, std::string_view& left, std::string_view& right) {
        simdjson::dom::array pair;
        if (!merge.get(pair)) return pair.size() == 2 && !pair.at(0).get(left) && !pair.at(1).get(right);
        std::string_view text;
        if (merge.get(text)) return false;
        const std::size_t space = text.find(' ');
        if (space == std::string_view::npos) return false;
        left = text.substr(0, space);
        right = text.substr(space + 1);
        return right.find(' ') == std::string_view::npos;
    }

    Status read_added_tokens() {
        const auto added = tokenizer_json::member(root_, "added_tokens");
        if (!added) return {};
        simdjson::dom::array tokens;
        if (added->get(tokens)) return invalid_argument("'added_tokens' should be an array.");
        for (const Json element : tokens) {
            if (Status s = read_added_token(element); !s) return s;
        }
        return {};
    }

    Status read_added_token(const Json& element) {
        AddedToken token;
        const auto content = tokenizer_json::string_member(element, "content", "an added token");
        if (!content) return content.error();
        token.content = *content;
        const auto id_json = tokenizer_json::member(element, "id");
        if (!id_json) return invalid_argument("The added token '" + printable(*content) + "' has no id.");
        const auto id = read_id(*id_json, *content);
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
        if (Status s = set_token(token.id, token.content); !s) return s;
        VocabularyToken& entry = parts_.vocabulary[token.id];
        entry.special = token.special;
        // An added token stands for its own text; only the byte-level alphabet could mistake it for other
        // bytes.
        const bool as_is = decoder_.kind == tokenizer_json::Decoder::Kind::byte_level;
        entry.bytes = as_is ? token.content : decoder_.bytes_of(token.content);
        if (!token.normalized) {
            parts_.added.add(std::move(token));
            return {};
        }
        auto normalized = parts_.normalizer.apply(std::move(token.content));
        if (!normalized) return normalized.error();
        token.content = std::move(*normalized);
        parts_.added_normalized.add(std::move(token));
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

    const Json& root_;
    tokenizer_json::Decoder decoder_;
    bool byte_fallback_ = false;
    std::uint64_t max_id_ = 0;
    BpeModel bpe_;
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
