// What a tokenizer consists of, put together by the loaders.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/tokenizer/added_tokens.hpp"
#include "model/tokenizer/bpe.hpp"
#include "model/tokenizer/decoder.hpp"
#include "model/tokenizer/normalizer.hpp"
#include "model/tokenizer/pre_tokenizer.hpp"
#include "model/tokenizer/unigram.hpp"

namespace troupe {

struct VocabularyToken {
    std::string text;   // as the vocabulary spells it; empty: there is no token with this id
    std::string bytes;  // what it contributes to a text that it does not begin
    bool special = false;
};

// By spelling; a search through all of them, for the few times that a token is named.
std::optional<TokenId> find_token(const std::vector<VocabularyToken>& vocabulary, std::string_view text);

struct TokenizerParts {
    std::vector<VocabularyToken> vocabulary;  // by id
    AddedTokenMatcher added;                  // found in the raw text
    AddedTokenMatcher added_normalized;       // found in the normalized text
    Normalizer normalizer;
    PreTokenizer pre_tokenizer;
    std::unique_ptr<const Bpe> bpe;  // one of the two
    std::unique_ptr<const Unigram> unigram;
    std::vector<TokenId> prefix;  // what add_special puts around a text
    std::vector<TokenId> suffix;
    Decoder decoder;
    std::map<TokenId, std::string>
        respelled;  // added tokens whose text the normalizer changes: the decoder's input
    std::optional<TokenId> bos;
    std::optional<TokenId> eos;
};

}  // namespace troupe
