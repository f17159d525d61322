// Byte-pair encoding (Sennrich et al., 2016): a word is cut into symbols, then the neighbours whose merge has
// the lowest rank are merged, the leftmost first, until none is left. Serves byte-level vocabularies (symbols
// are bytes), character ones with byte fallback, and SentencePiece's BPE models (ranks made from scores).
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/ids.hpp"
#include "core/status.hpp"
#include "model/tokenizer/flat_hash.hpp"

namespace troupe {

struct BpeMerge {
    TokenId left = 0;
    TokenId right = 0;
    TokenId result = 0;
    std::uint32_t rank = 0;
};

struct BpeModel {
    // By id: what a token matches in a text, as bytes (byte-level) or characters; empty: the token matches
    // nothing (special tokens, byte tokens). Entries past `vocab_size` are characters outside of the
    // vocabulary that merges may use; one that stays alone is unknown.
    std::vector<std::string> spellings;
    std::size_t vocab_size = 0;
    std::vector<BpeMerge> merges;
    bool byte_level = false;
    bool ignore_merges = false;       // a word that is a token is that token, whatever merges would give
    bool newlines_are_whole = false;  // the same, for words that begin with a newline
    // Before every character of a word but the first; after the last one.
    std::string continuing_prefix;
    std::string end_suffix;
    std::array<TokenId, 256> byte_tokens{};  // for the bytes of unknown characters; -1: none
    TokenId unknown = -1;                    // where there are no byte tokens; -1: left out
    bool fuse_unknown = false;               // neighbouring unknown characters give one token
};

class Bpe {
  public:
    explicit Bpe(BpeModel model);
    ~Bpe();

    // Working memory of encode(), for one thread.
    struct Scratch;
    struct ScratchDeleter {
        void operator()(Scratch* scratch) const;
    };
    using ScratchPtr = std::unique_ptr<Scratch, ScratchDeleter>;
    static ScratchPtr make_scratch();

    // Appends the tokens of one word, valid UTF-8.
    void encode(std::string_view word, Scratch& scratch, std::vector<TokenId>& out) const;

  private:
    // Whether the merges turn a token's spelling into that one token. Found out when first needed; threads
    // that meet here write the same answer.
    enum class Whole : std::uint8_t { unknown, yes, no };

    bool has_affixes() const { return !model_.continuing_prefix.empty() || !model_.end_suffix.empty(); }
    bool separable_at_metaspace() const;
    TokenId whole_word(std::string_view word) const;
    void encode_word(std::string_view word, Scratch& scratch, std::vector<TokenId>& out) const;
    void cut_into_symbols(std::string_view word, std::vector<TokenId>& symbols) const;
    TokenId find_character(std::string_view word, std::size_t at, std::size_t length) const;
    std::string with_affixes(std::string_view word, std::size_t at, std::size_t length) const;
    bool append_byte_tokens(std::string_view text, std::vector<TokenId>& out) const;
    void merge_short(std::vector<TokenId>& symbols) const;
    void merge_long(Scratch& scratch) const;
    void emit(const std::vector<TokenId>& symbols, std::vector<TokenId>& out) const;

    BpeModel model_;
    SpellingTable tokens_;
    PairTable merges_;
    std::array<TokenId, 256> one_byte_{};  // token of a word of one byte; -1: none
    std::size_t longest_spelling_ = 0;
    bool cut_at_metaspace_ = false;
    std::unique_ptr<std::atomic<Whole>[]> whole_;  // by id
};

}  // namespace troupe
