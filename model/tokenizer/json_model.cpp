#include "model/tokenizer/json_model.hpp"

#include <algorithm>
#include <cmath>

#include "model/formats/printable.hpp"
#include "model/tokenizer/byte_level.hpp"
#include "model/tokenizer/loaders.hpp"
#include "model/tokenizer/spelling.hpp"
#include "model/tokenizer/utf8.hpp"

namespace troupe::tokenizer_json {

namespace {

// "a b" or ["a", "b"].
bool split_merge(const Json& merge, std::string_view& left, std::string_view& right) {
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

bool is_version_line(const Json& merge) {
    std::string_view text;
    return !merge.get(text) && text.substr(0, 8) == "#version";
}

}  // namespace

Status set_token(std::vector<VocabularyToken>& vocabulary, TokenId id, std::string_view text) {
    if (static_cast<std::size_t>(id) >= vocabulary.size()) vocabulary.resize(id + 1);
    VocabularyToken& token = vocabulary[id];
    if (!token.text.empty() && token.text != text) {
        return invalid_argument("The tokens '" + printable(token.text) + "' and '" + printable(text) +
                                "' have the same id " + std::to_string(id) + ".");
    }
    token.text = text;
    return {};
}

Status ModelReader::read_options() {
    simdjson::dom::array list;
    is_unigram_ = !json_["vocab"].get(list);  // files of old leave the type out
    if (member(json_, "type")) {
        const auto type = string_member(json_, "type", "the model");
        if (!type) return type.error();
        if (*type != "BPE" && *type != "Unigram")
            return not_supported("tokenizer model", *type, "BPE, Unigram");
        is_unigram_ = *type == "Unigram";
    }
    const auto byte_fallback = bool_or(json_, "byte_fallback", false);
    if (!byte_fallback) return byte_fallback.error();
    byte_fallback_ = *byte_fallback;
    return is_unigram_ ? Status() : read_bpe_options();
}

Status ModelReader::read_bpe_options() {
    const std::pair<std::string_view, std::string*> texts[] = {
        {"continuing_subword_prefix", &bpe_.continuing_prefix}, {"end_of_word_suffix", &bpe_.end_suffix}};
    for (const auto& [key, text] : texts) {
        if (!member(json_, key)) continue;
        const auto value = string_member(json_, key, "the BPE model");
        if (!value) return value.error();
        *text = *value;
    }
    affixes_ = bpe_.continuing_prefix + bpe_.end_suffix;
    double dropout = 0;
    if (const auto value = member(json_, "dropout"); value && (value->get(dropout) || dropout != 0)) {
        return invalid_argument(
            "The option 'dropout' of the BPE model is not supported: it makes ids random.");
    }
    const auto ignore_merges = bool_or(json_, "ignore_merges", false);
    const auto fuse_unknown = bool_or(json_, "fuse_unk", false);
    if (!ignore_merges) return ignore_merges.error();
    if (!fuse_unknown) return fuse_unknown.error();
    bpe_.ignore_merges = *ignore_merges;
    bpe_.fuse_unknown = *fuse_unknown;
    return {};
}

Status ModelReader::read_vocabulary(std::vector<VocabularyToken>& vocabulary) {
    if (Status s = is_unigram_ ? read_unigram_vocabulary(vocabulary) : read_bpe_vocabulary(vocabulary); !s)
        return s;
    vocab_size_ = vocabulary.size();
    return {};
}

Status ModelReader::read_bpe_vocabulary(std::vector<VocabularyToken>& vocabulary) {
    simdjson::dom::object vocab;
    if (json_["vocab"].get(vocab)) return invalid_argument("'vocab' of the BPE model should be an object.");
    std::size_t count = 0;
    for ([[maybe_unused]] const auto entry : vocab) ++count;
    max_id_ = 2 * count + 65536;
    vocabulary.reserve(count + 1024);
    for (const auto [text, element] : vocab) {
        const auto id = read_id(element, text);
        if (!id) return id.error();
        if (Status s = set_token(vocabulary, *id, text); !s) return s;
    }
    return {};
}

Status ModelReader::read_unigram_vocabulary(std::vector<VocabularyToken>& vocabulary) {
    simdjson::dom::array vocab;
    if (json_["vocab"].get(vocab)) {
        return invalid_argument("'vocab' of the Unigram model should be an array of tokens with scores.");
    }
    for (const Json entry : vocab) {
        std::string_view text;
        double score = 0;
        if (entry.at(0).get(text) || entry.at(1).get(score) || std::isnan(score)) {
            return invalid_argument("Entry " + std::to_string(vocabulary.size()) +
                                    " of 'vocab' of the Unigram model should be a token and its score.");
        }
        vocabulary.emplace_back().text = text;
        unigram_.scores.push_back(score);
    }
    max_id_ = 2 * vocabulary.size() + 65536;
    return {};
}

Result<TokenId> ModelReader::read_id(const Json& element, std::string_view text) const {
    std::uint64_t id = 0;
    if (element.get(id) || id >= max_id_) {
        return invalid_argument("The id of token '" + printable(text) + "' should be a number below " +
                                std::to_string(max_id_) + ", about twice the size of the vocabulary.");
    }
    return static_cast<TokenId>(id);
}

Status ModelReader::build(bool byte_level, TokenizerParts& parts) {
    auto& byte_tokens = is_unigram_ ? unigram_.byte_tokens : bpe_.byte_tokens;
    byte_tokens.fill(-1);
    for (std::size_t i = 0; byte_fallback_ && i < vocab_size_; ++i) {
        if (const auto byte = parse_byte_token(parts.vocabulary[i].text))
            byte_tokens[*byte] = static_cast<TokenId>(i);
    }
    return is_unigram_ ? build_unigram(parts) : build_bpe(byte_level, parts);
}

// What a token matches in a text. Where whole words are looked up in the vocabulary, text must not become a
// special token by that.
std::string ModelReader::spelling_of(const VocabularyToken& token, bool byte_level,
                                     bool whole_words_match) const {
    if (token.text.empty()) return {};
    if (whole_words_match && token.special && utf8_length(token.text) != token.text.size()) return {};
    return byte_level ? byte_level_decode(token.text).value_or("") : token.text;
}

Status ModelReader::build_bpe(bool byte_level, TokenizerParts& parts) {
    bpe_.byte_level = byte_level;
    bpe_.vocab_size = vocab_size_;
    bpe_.spellings.reserve(vocab_size_);
    for (std::size_t i = 0; i < vocab_size_; ++i)
        bpe_.spellings.push_back(spelling_of(parts.vocabulary[i], byte_level, bpe_.ignore_merges));
    const SpellingTable ids = index_by_text(parts.vocabulary);
    if (Status s = read_unknown(ids); !s) return s;
    if (Status s = read_merges(ids); !s) return s;
    parts.bpe = std::make_unique<const Bpe>(std::move(bpe_));
    return {};
}

// Some byte-level files name an unknown token that they do not have and never need.
Status ModelReader::read_unknown(const SpellingTable& ids) {
    if (!member(json_, "unk_token")) return {};
    const auto text = string_member(json_, "unk_token", "the BPE model");
    if (!text) return text.error();
    bpe_.unknown = ids.find(*text);
    if (bpe_.unknown >= 0) return {};
    std::array<bool, 256> known{};
    for (const std::string& spelling : bpe_.spellings) {
        if (spelling.size() == 1) known[static_cast<unsigned char>(spelling[0])] = true;
    }
    if (bpe_.byte_level && std::find(known.begin(), known.end(), false) == known.end()) return {};
    return invalid_argument("'unk_token' of the BPE model should be a token of its vocabulary.");
}

Status ModelReader::read_merges(const SpellingTable& ids) {
    simdjson::dom::array merges;
    if (json_["merges"].get(merges)) return invalid_argument("'merges' of the BPE model should be an array.");
    bpe_.merges.reserve(merges.size());
    for (const Json merge : merges) {
        std::string_view left;
        std::string_view right;
        if (bpe_.merges.empty() && is_version_line(merge)) continue;
        if (!split_merge(merge, left, right)) {
            return invalid_argument("Merge " + std::to_string(bpe_.merges.size()) +
                                    " should be two tokens, \"a b\" or [\"a\", \"b\"].");
        }
        if (Status s = add_merge(ids, left, right, bpe_); !s) return s;
    }
    return {};
}

Status ModelReader::build_unigram(TokenizerParts& parts) {
    std::uint64_t unknown = 0;
    if (json_["unk_id"].get(unknown) || unknown >= vocab_size_) {
        return invalid_argument("'unk_id' of the Unigram model should be an entry of its vocabulary.");
    }
    unigram_.unknown = static_cast<TokenId>(unknown);
    for (std::size_t i = 0; i < vocab_size_; ++i)
        unigram_.spellings.push_back(spelling_of(parts.vocabulary[i], false, true));
    parts.unigram = std::make_unique<const Unigram>(unigram_);
    return {};
}

}  // namespace troupe::tokenizer_json
