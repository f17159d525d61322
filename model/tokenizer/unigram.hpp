// Unigram language model (Kudo, 2018): of all ways to cut a word into tokens, the one whose scores,
// logarithms of probabilities, have the greatest sum, found by Viterbi's algorithm as Hugging Face's
// tokenizers do it.
#pragma once
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "core/ids.hpp"
#include "model/tokenizer/flat_hash.hpp"

namespace troupe {

struct UnigramModel {
    std::vector<std::string> spellings;      // by id; empty: the token matches nothing
    std::vector<double> scores;              // by id
    std::array<TokenId, 256> byte_tokens{};  // for the bytes of unknown characters; -1: none
    TokenId unknown = -1;  // where there are no byte tokens; -1: such characters are left out
};

class Unigram {
  public:
    explicit Unigram(const UnigramModel& model);

    // Appends the tokens of one word, valid UTF-8. Time is linear in the word times the longest token.
    void encode(std::string_view word, std::vector<TokenId>& out) const;

  private:
    // The best way to cut the text up to some byte.
    struct Path {
        double score = 0;
        std::size_t begin = none;  // of its last token
        TokenId token = -1;        // -1: unknown characters
    };
    static constexpr std::size_t none = static_cast<std::size_t>(-1);

    void add(std::string_view spelling, TokenId token);
    void find_paths(std::string_view word, std::vector<Path>& paths) const;
    TokenId find(std::string_view spelling) const;  // -1: there is none
    void emit_unknown(std::string_view text, std::vector<TokenId>& out) const;

    PairTable children_;           // (node, byte) -> node
    std::vector<TokenId> tokens_;  // by node: the one that ends there, or -1
    std::vector<double> scores_;
    double unknown_score_ = 0;
    std::array<TokenId, 256> byte_tokens_;
    TokenId unknown_;
};

}  // namespace troupe
