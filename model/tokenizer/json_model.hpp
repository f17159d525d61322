// The "model" of a tokenizer.json: BPE or Unigram.
#pragma once
#include "model/tokenizer/json_parts.hpp"
#include "model/tokenizer/tokenizer_parts.hpp"

namespace troupe::tokenizer_json {

class ModelReader {
  public:
    explicit ModelReader(const Json& model) : json_(model) {}

    // Type and options; first of all.
    Status read_options();
    // Whether words may be handed over as bytes where the pre-tokenizer ends in ByteLevel; if not, they have
    // to be spelled in its alphabet.
    bool takes_bytes() const { return !is_unigram_ && !byte_fallback_ && affixes_.empty(); }

    // Fills in the texts of the vocabulary.
    Status read_vocabulary(std::vector<VocabularyToken>& vocabulary);
    // The id of a token that `text` names, within sane bounds.
    Result<TokenId> read_id(const Json& element, std::string_view text) const;

    // Makes the model, when the vocabulary has its added tokens; `byte_level`: words are handed over as
    // bytes.
    Status build(bool byte_level, TokenizerParts& parts);

  private:
    Status read_bpe_options();
    Status read_bpe_vocabulary(std::vector<VocabularyToken>& vocabulary);
    Status read_unigram_vocabulary(std::vector<VocabularyToken>& vocabulary);
    Status build_bpe(bool byte_level, TokenizerParts& parts);
    Status build_unigram(TokenizerParts& parts);
    Status read_unknown(const SpellingTable& ids);
    Status read_merges(const SpellingTable& ids);
    std::string spelling_of(const VocabularyToken& token, bool byte_level, bool whole_words_match) const;

    const Json& json_;
    bool is_unigram_ = false;
    bool byte_fallback_ = false;
    std::string affixes_;
    std::uint64_t max_id_ = 0;
    std::size_t vocab_size_ = 0;  // without added tokens
    BpeModel bpe_;
    UnigramModel unigram_;
};

// Gives the id its text; fails if it has another one.
Status set_token(std::vector<VocabularyToken>& vocabulary, TokenId id, std::string_view text);

}  // namespace troupe::tokenizer_json
