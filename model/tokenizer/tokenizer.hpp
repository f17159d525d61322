// Text to token ids and back. Immutable after loading: any thread may use one tokenizer at the same time.
#pragma once
#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/ids.hpp"
#include "core/status.hpp"
#include "model/tokenizer/utf8.hpp"

namespace troupe {

struct EncodeOptions {
    bool parse_special = false;  // the text of a special token ("<|im_end|>") becomes that token
    bool add_special = false;    // add what the model adds around a text (a beginning-of-sequence token)
};

struct DecodeOptions {
    bool skip_special = true;  // special tokens contribute nothing
    // The ids begin a text. SentencePiece-style models begin every text with a space of their own, which is
    // dropped again here; false for ids that continue a text (a completion after its prompt).
    bool begins_text = true;
};

struct TokenizerParts;  // model/tokenizer/tokenizer_parts.hpp: what loaders put together

class Tokenizer {
  public:
    explicit Tokenizer(TokenizerParts parts);
    ~Tokenizer();
    Tokenizer(const Tokenizer&) = delete;
    Tokenizer& operator=(const Tokenizer&) = delete;

    // Any bytes: what is not UTF-8 counts as U+FFFD, as in Utf8Stream. Time is linear in the text, but for a
    // logarithm in the length of its longest word. Fails only if a regular expression of the model's file
    // gives up.
    Result<std::vector<TokenId>> encode(std::string_view text, EncodeOptions options = {}) const;

    // Any ids, in or out of the vocabulary (those contribute nothing). Valid UTF-8.
    std::string decode(std::span<const TokenId> ids, DecodeOptions options = {}) const;

    // The raw bytes that a token contributes to a text that it does not begin, perhaps part of a character;
    // empty if there is no such id.
    std::string_view token_bytes(TokenId id) const;
    // The token as the vocabulary spells it ("Ġthe", "▁the", "<0x0A>"); empty if there is no such id.
    std::string_view token_text(TokenId id) const;
    std::optional<TokenId> token_id(std::string_view text) const;  // by the vocabulary's spelling
    bool is_special(TokenId id) const;

    // One more than the highest id. The model's logits may be wider: padding.
    std::size_t vocab_size() const;

    std::optional<TokenId> bos_id() const;
    std::optional<TokenId> eos_id() const;
    // As chat templates want them; empty if there is none.
    std::string_view bos_token() const;
    std::string_view eos_token() const;

  private:
    friend class StreamingDetokenizer;
    std::unique_ptr<const TokenizerParts> parts_;
};

// Text of a growing sequence of ids, whole characters only. The concatenation of what push() and flush() give
// out equals decode() of all ids with the same options. For one thread.
class StreamingDetokenizer {
  public:
    StreamingDetokenizer(std::shared_ptr<const Tokenizer> tokenizer, DecodeOptions options = {});

    std::string push(TokenId id);
    std::string flush();  // at the end of the text

  private:
    std::string hold_back(std::string text);

    std::shared_ptr<const Tokenizer> tokenizer_;
    DecodeOptions options_;
    bool at_start_;              // no token has been pushed
    std::size_t left_to_strip_;  // characters at the start of the text
    std::string held_;           // at the end of the text so far, and stripped if nothing follows
    Utf8Stream stream_;
};

// From a GGUF file (one with only a vocabulary will do), a directory with tokenizer.json, or a tokenizer.json
// (with the tokenizer_config.json beside it, if there is one). What the file asks for and we do not know is
// an error that names it.
Result<std::shared_ptr<const Tokenizer>> load_tokenizer(const std::filesystem::path& path);

class GgufFile;
// From the metadata of a file that is already open; the tokenizer keeps nothing of it.
Result<std::shared_ptr<const Tokenizer>> load_tokenizer(const GgufFile& file);

}  // namespace troupe
