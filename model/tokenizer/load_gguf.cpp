#include <algorithm>
#include <cmath>

#include "model/formats/printable.hpp"
#include "model/tokenizer/byte_level.hpp"
#include "model/tokenizer/known_patterns.hpp"
#include "model/tokenizer/loaders.hpp"
#include "model/tokenizer/spelling.hpp"
#include "model/tokenizer/utf8.hpp"

namespace troupe {

namespace {

constexpr std::size_t max_spelling = 1024;  // bytes; keeps the search for a token's parts short

enum TokenType : std::int64_t {
    normal = 1,
    unknown = 2,
    control = 3,
    user_defined = 4,
    unused = 5,
    byte = 6
};

// Tokens that end an answer; some converters fail to mark them as control tokens.
bool ends_turn(std::string_view text) {
    constexpr std::string_view known[] = {"<|eot_id|>",
                                          "<|im_end|>",
                                          "<|end|>",
                                          "<|eom_id|>",
                                          "<end_of_turn>",
                                          "<|endoftext|>",
                                          "<|return|>",
                                          "<|end_of_text|>",
                                          "<|call|>",
                                          "<\xEF\xBD\x9C"
                                          "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>"};
    return std::find(std::begin(known), std::end(known), text) != std::end(known);
}

class GgufLoader {
  public:
    explicit GgufLoader(const GgufFile& file) : file_(file) {}

    Result<TokenizerParts> load() {
        const auto model = file_.require_string("tokenizer.ggml.model");
        if (!model) return model.error();
        if (*model != "gpt2" && *model != "llama" && *model != "gemma4") {
            return invalid_argument("The tokenizer model '" + printable(*model) +
                                    "' (tokenizer.ggml.model) is not supported; gpt2, llama and gemma4 are.");
        }
        if (Status s = read_tokens(); !s) return s.error();
        if (Status s = *model == "gpt2"     ? read_byte_level()
                       : *model == "gemma4" ? read_gemma4()
                                            : read_sentencepiece();
            !s) {
            return s.error();
        }
        if (Status s = add_tokens(); !s) return s.error();
        if (Status s = read_special_ids(); !s) return s.error();
        parts_.bpe = std::make_unique<const Bpe>(std::move(bpe_));
        return std::move(parts_);
    }

  private:
    Status read_tokens() {
        const auto tokens = file_.get_strings("tokenizer.ggml.tokens");
        if (!tokens || tokens->empty()) {
            return invalid_argument(
                "There is no vocabulary: tokenizer.ggml.tokens should be an array of strings.");
        }
        types_.assign(tokens->size(), normal);
        if (file_.has("tokenizer.ggml.token_type")) {
            auto types = file_.get_ints("tokenizer.ggml.token_type");
            if (!types || types->size() != tokens->size()) {
                return invalid_argument("tokenizer.ggml.token_type should be an array of " +
                                        std::to_string(tokens->size()) + " integers, one for each token.");
            }
            types_ = std::move(*types);
        }
        parts_.vocabulary.resize(tokens->size());
        for (std::size_t i = 0; i < tokens->size(); ++i) {
            if (!is_valid_utf8((*tokens)[i])) {
                return invalid_argument("Token " + std::to_string(i) +
                                        " of the vocabulary is not valid UTF-8.");
            }
            if (types_[i] < normal || types_[i] > byte) {
                return invalid_argument("Token " + std::to_string(i) + " has the unknown type " +
                                        std::to_string(types_[i]) + "; 1 to 6 are known.");
            }
            VocabularyToken& token = parts_.vocabulary[i];
            token.text = token.bytes = (*tokens)[i];
            if (types_[i] == normal && ends_turn(token.text)) types_[i] = control;
            token.special = types_[i] == control || types_[i] == unknown;
        }
        bpe_.vocab_size = tokens->size();
        bpe_.spellings.resize(tokens->size());
        bpe_.byte_tokens.fill(-1);
        return {};
    }

    Status read_byte_level() {
        const auto name = file_.string_or("tokenizer.ggml.pre", "default");
        if (!name) return name.error();
        const auto named = find_pre_tokenizer(*name);
        if (!named) return named.error();
        std::vector<PreTokenizerStep> steps;
        for (const std::string_view pattern : named->patterns) {
            auto regex = Regex::compile(pattern);
            if (!regex) return regex.error();
            steps.push_back(SplitPreTokenizer{std::move(*regex)});
        }
        parts_.pre_tokenizer = PreTokenizer(std::move(steps));
        bpe_.byte_level = true;
        bpe_.ignore_merges = named->ignore_merges;
        add_bos_ = named->add_bos;
        for (std::size_t i = 0; i < types_.size(); ++i) {
            if (types_[i] != normal) continue;
            if (auto bytes = byte_level_decode(parts_.vocabulary[i].text)) {
                parts_.vocabulary[i].bytes = *bytes;
                bpe_.spellings[i] = std::move(*bytes);
            }
        }
        return read_merges();
    }

    Status read_merges() {
        const auto merges = file_.get_strings("tokenizer.ggml.merges");
        if (!merges) {
            return invalid_argument(
                "There are no merges: tokenizer.ggml.merges should be an array of strings.");
        }
        // Merges may pass through texts that are no tokens: those get ids past the vocabulary.
        std::vector<std::string> outside;
        std::vector<std::string_view> pairs;
        const SpellingTable ids = index_by_text(parts_.vocabulary);
        pairs.reserve(2 * merges->size());
        for (const std::string_view merge : *merges) {
            const std::size_t space = merge.find(' ', 1);
            if (space == std::string_view::npos || space + 1 == merge.size()) {
                return invalid_argument(
                    "Merge " + std::to_string(pairs.size() / 2) +
                    " (tokenizer.ggml.merges) should be two tokens with a space between.");
            }
            pairs.insert(pairs.end(), {merge.substr(0, space), merge.substr(space + 1)});
        }
        for (std::size_t i = 0; i < pairs.size(); i += 2) {
            for (const std::string& text : {std::string(pairs[i]), std::string(pairs[i + 1]),
                                            std::string(pairs[i]).append(pairs[i + 1])}) {
                if (ids.find(text) < 0) outside.push_back(text);
            }
        }
        const SpellingTable outside_ids = add_outside_vocabulary(std::move(outside));
        const auto id_of = [&](std::string_view text) {
            const TokenId id = ids.find(text);
            return id >= 0 ? id : outside_ids.find(text);
        };
        bpe_.merges.reserve(merges->size());
        for (std::size_t i = 0; i < pairs.size(); i += 2) {
            const TokenId result = id_of(std::string(pairs[i]).append(pairs[i + 1]));
            bpe_.merges.push_back(
                {id_of(pairs[i]), id_of(pairs[i + 1]), result, static_cast<std::uint32_t>(i / 2)});
        }
        return {};
    }

    // Texts of the vocabulary's spelling, which outlive the table.
    SpellingTable add_outside_vocabulary(std::vector<std::string> texts) {
        std::sort(texts.begin(), texts.end());
        texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
        outside_ = std::move(texts);
        SpellingTable ids(outside_.size());
        for (const std::string& text : outside_) {
            ids.insert(text, static_cast<TokenId>(bpe_.spellings.size()));
            bpe_.spellings.push_back(bpe_.byte_level ? byte_level_decode(text).value_or("") : text);
        }
        return ids;
    }

    // Words are lines, spaces are metaspaces, merges are given; unknown characters become bytes.
    Status read_gemma4() {
        auto space = Regex::literal(" ");
        auto lines = Regex::compile("[^\\n]+|[\\n]+");
        if (!space) return space.error();
        if (!lines) return lines.error();
        parts_.normalizer = Normalizer({ReplaceNormalizer{std::move(*space), std::string(metaspace)}});
        parts_.pre_tokenizer = PreTokenizer({SplitPreTokenizer{std::move(*lines)}});
        bpe_.newlines_are_whole = true;
        always_bos_ = true;
        if (Status s = read_spelled_tokens(); !s) return s;
        return read_merges();
    }

    Status read_sentencepiece() {
        const auto add_space_prefix = file_.bool_or("tokenizer.ggml.add_space_prefix", true);
        if (!add_space_prefix) return add_space_prefix.error();
        auto space = Regex::literal(" ");
        if (!space) return space.error();
        std::vector<NormalizerStep> steps;
        if (*add_space_prefix) steps.push_back(PrependNormalizer{std::string(metaspace)});
        steps.push_back(ReplaceNormalizer{std::move(*space), std::string(metaspace)});
        parts_.normalizer = Normalizer(std::move(steps));
        parts_.decoder.strip_start = *add_space_prefix ? 1 : 0;
        add_bos_ = true;
        // What SentencePiece numbers them, unless the file says otherwise.
        if (bpe_.vocab_size > 2) {
            parts_.bos = 1;
            parts_.eos = 2;
        }
        bpe_.fuse_unknown = true;
        if (Status s = read_spelled_tokens(); !s) return s;
        return make_merges_from_scores();
    }

    // Tokens that are spelled as text, with metaspaces, and bytes.
    Status read_spelled_tokens() {
        for (std::size_t i = 0; i < types_.size(); ++i) {
            VocabularyToken& token = parts_.vocabulary[i];
            if (types_[i] == byte) {
                const auto value = parse_byte_token(token.text);
                if (!value) {
                    return invalid_argument("Token " + std::to_string(i) +
                                            " is of type byte, but is not spelled like <0x0A>.");
                }
                bpe_.byte_tokens[*value] = static_cast<TokenId>(i);
                token.bytes.assign(1, static_cast<char>(*value));
            } else if (types_[i] == normal || types_[i] == unused) {
                if (token.text.size() > max_spelling) {
                    return invalid_argument("Token " + std::to_string(i) + " has more than " +
                                            std::to_string(max_spelling) + " bytes.");
                }
                bpe_.spellings[i] = token.text;
                token.bytes = replace_all(token.text, metaspace, " ");
            } else if (types_[i] == unknown) {
                bpe_.unknown = static_cast<TokenId>(i);
            }
        }
        return {};
    }

    // SentencePiece merges the neighbours whose concatenation is the token with the highest score. As a table
    // of pairs: every way to cut a token into two tokens, ranked by that score, equal scores alike.
    Status make_merges_from_scores() {
        const auto scores = file_.get_floats("tokenizer.ggml.scores");
        if (!scores || scores->size() != bpe_.vocab_size) {
            return invalid_argument("tokenizer.ggml.scores should be an array of " +
                                    std::to_string(bpe_.vocab_size) + " floats, one for each token.");
        }
        std::vector<float> ranking = *scores;
        if (std::any_of(ranking.begin(), ranking.end(), [](float score) { return std::isnan(score); })) {
            return invalid_argument("tokenizer.ggml.scores holds a value that is not a number.");
        }
        std::sort(ranking.begin(), ranking.end(), std::greater<>());
        ranking.erase(std::unique(ranking.begin(), ranking.end()), ranking.end());
        const auto rank_of = [&ranking](float score) {
            return static_cast<std::uint32_t>(
                std::lower_bound(ranking.begin(), ranking.end(), score, std::greater<>()) - ranking.begin());
        };
        add_characters_outside_vocabulary();
        SpellingTable ids(bpe_.spellings.size());
        for (std::size_t i = 0; i < bpe_.spellings.size(); ++i) {
            if (!bpe_.spellings[i].empty()) ids.insert(bpe_.spellings[i], static_cast<TokenId>(i));
        }
        for (std::size_t i = 0; i < bpe_.vocab_size; ++i) {
            const std::string_view spelling = bpe_.spellings[i];
            const std::uint32_t rank = rank_of((*scores)[i]);
            for (std::size_t cut = spelling.empty() ? 0 : utf8_length(spelling); cut < spelling.size();
                 cut += utf8_length(spelling.substr(cut))) {
                const TokenId left = ids.find(spelling.substr(0, cut));
                const TokenId right = left < 0 ? -1 : ids.find(spelling.substr(cut));
                if (right >= 0) bpe_.merges.push_back({left, right, static_cast<TokenId>(i), rank});
            }
        }
        return {};
    }

    // A token may consist of characters that are no tokens themselves (an emoji with its skin tone): they get
    // ids past the vocabulary, so that merges can name them.
    void add_characters_outside_vocabulary() {
        SpellingTable known(bpe_.spellings.size());
        for (std::size_t i = 0; i < bpe_.vocab_size; ++i) {
            if (!bpe_.spellings[i].empty()) known.insert(bpe_.spellings[i], static_cast<TokenId>(i));
        }
        std::vector<std::string> characters;
        for (std::size_t i = 0; i < bpe_.vocab_size; ++i) {
            const std::string_view spelling = bpe_.spellings[i];
            for (std::size_t at = 0; at < spelling.size();) {
                const std::size_t length = utf8_length(spelling.substr(at));
                if (known.find(spelling.substr(at, length)) < 0)
                    characters.emplace_back(spelling.substr(at, length));
                at += length;
            }
        }
        std::sort(characters.begin(), characters.end());
        characters.erase(std::unique(characters.begin(), characters.end()), characters.end());
        bpe_.spellings.insert(bpe_.spellings.end(), characters.begin(), characters.end());
    }

    // Phi-3's files do not say that white space after its special tokens goes; llama.cpp knows by the name.
    Status add_tokens() {
        auto name = file_.string_or("general.name", "");
        if (!name) return name.error();
        std::string lower_case(*name);
        for (char& c : lower_case) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
        const bool is_phi3 =
            lower_case.find("phi-3") != std::string::npos || lower_case.find("phi3") != std::string::npos;
        for (std::size_t i = 0; i < types_.size(); ++i) {
            const bool special = parts_.vocabulary[i].special;
            if (!special && types_[i] != user_defined) continue;
            const std::string& text = parts_.vocabulary[i].text;
            const bool rstrip = is_phi3 && text != "<unk>" && text != "<s>" && text != "<|endoftext|>";
            parts_.added.add(
                {.id = static_cast<TokenId>(i), .content = text, .special = special, .rstrip = rstrip});
        }
        return {};
    }

    Status read_special_ids() {
        if (Status s = read_id("tokenizer.ggml.bos_token_id", parts_.bos); !s) return s;
        if (Status s = read_id("tokenizer.ggml.eos_token_id", parts_.eos); !s) return s;
        const auto add_bos = file_.bool_or("tokenizer.ggml.add_bos_token", add_bos_);
        const auto add_eos = file_.bool_or("tokenizer.ggml.add_eos_token", false);
        if (!add_bos) return add_bos.error();
        if (!add_eos) return add_eos.error();
        if (Status s = add_around("bos", *add_bos || always_bos_, parts_.bos, parts_.prefix); !s) return s;
        return add_around("eos", *add_eos, parts_.eos, parts_.suffix);
    }

    Status add_around(const std::string& name, bool add, std::optional<TokenId> id,
                      std::vector<TokenId>& around) const {
        if (add && id) around.push_back(*id);
        const bool demanded = add && file_.has("tokenizer.ggml.add_" + name + "_token");
        if (id || !demanded) return {};
        return invalid_argument("tokenizer.ggml.add_" + name +
                                "_token is true, but there is no tokenizer.ggml." + name + "_token_id.");
    }

    Status read_id(std::string_view key, std::optional<TokenId>& id) const {
        if (!file_.has(key)) return {};
        const auto value = file_.get_uint(key);
        if (!value || *value >= parts_.vocabulary.size()) {
            return invalid_argument(std::string(key) + " should be a token of the vocabulary, 0 to " +
                                    std::to_string(parts_.vocabulary.size() - 1) + ".");
        }
        id = static_cast<TokenId>(*value);
        return {};
    }

    const GgufFile& file_;
    std::vector<std::int64_t> types_;
    bool add_bos_ = false;
    bool always_bos_ = false;           // whatever the file says
    std::vector<std::string> outside_;  // texts of merges that are no tokens
    BpeModel bpe_;
    TokenizerParts parts_;
};

}  // namespace

Result<TokenizerParts> tokenizer_from_gguf(const GgufFile& file) { return GgufLoader(file).load(); }

}  // namespace troupe
