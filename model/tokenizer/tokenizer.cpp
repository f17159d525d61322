#include "model/tokenizer/tokenizer.hpp"

#include <algorithm>

#include "model/tokenizer/tokenizer_parts.hpp"

namespace troupe {

namespace {

// One call of encode(): its working memory and its output.
class Encoding {
  public:
    Encoding(const TokenizerParts& parts, bool parse_special)
        : parts_(parts), parse_special_(parse_special), scratch_(Bpe::make_scratch()) {}

    Status encode_text(std::string_view text, std::vector<TokenId>& ids) {
        for (const auto& part : parts_.added.split(text, parse_special_)) {
            if (part.token >= 0) {
                ids.push_back(part.token);
                continue;
            }
            const bool begins_input = part.text.data() == text.data();
            if (Status s = encode_raw(part.text, begins_input, ids); !s) return s;
        }
        return {};
    }

  private:
    Status encode_raw(std::string_view text, bool begins_input, std::vector<TokenId>& ids) {
        std::string normalized;
        if (!parts_.normalizer.empty()) {
            auto applied = parts_.normalizer.apply(std::string(text));
            if (!applied) return applied.error();
            normalized = std::move(*applied);
            text = normalized;
        }
        if (parts_.added_normalized.empty()) return encode_normalized(text, begins_input, ids);
        for (const auto& part : parts_.added_normalized.split(text, parse_special_)) {
            if (part.token >= 0) {
                ids.push_back(part.token);
                continue;
            }
            const bool begins = begins_input && part.text.data() == text.data();
            if (Status s = encode_normalized(part.text, begins, ids); !s) return s;
        }
        return {};
    }

    Status encode_normalized(std::string_view text, bool begins_input, std::vector<TokenId>& ids) {
        if (Status s = parts_.pre_tokenizer.apply(text, begins_input, words_); !s) return s;
        for (const Word& word : words_.words) parts_.bpe->encode(word.text, *scratch_, ids);
        return {};
    }

    const TokenizerParts& parts_;
    bool parse_special_;
    Bpe::ScratchPtr scratch_;
    Words words_;
};

// Drops up to `count` spaces from the front of `bytes`; anything else ends the dropping.
void drop_leading_spaces(std::string_view& bytes, std::size_t& count) {
    while (count > 0 && !bytes.empty()) {
        if (bytes[0] != ' ') {
            count = 0;
            return;
        }
        bytes.remove_prefix(1);
        --count;
    }
}

}  // namespace

Tokenizer::Tokenizer(TokenizerParts parts)
    : parts_(std::make_unique<const TokenizerParts>(std::move(parts))) {}
Tokenizer::~Tokenizer() = default;

Result<std::vector<TokenId>> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
    std::string replaced;
    if (!is_valid_utf8(text)) {
        replaced = replace_invalid_utf8(text);
        text = replaced;
    }
    std::vector<TokenId> ids;
    ids.reserve(text.size() / 3 + 8);
    if (options.add_special) ids = parts_->prefix;
    Encoding encoding(*parts_, options.parse_special);
    if (Status s = encoding.encode_text(text, ids); !s) return s.error();
    if (options.add_special) ids.insert(ids.end(), parts_->suffix.begin(), parts_->suffix.end());
    return ids;
}

std::string Tokenizer::decode(std::span<const TokenId> ids, DecodeOptions options) const {
    std::string bytes;
    std::size_t spaces_to_drop = options.begins_text ? parts_->leading_spaces_dropped : 0;
    for (const TokenId id : ids) {
        if (options.skip_special && is_special(id)) continue;
        std::string_view more = token_bytes(id);
        drop_leading_spaces(more, spaces_to_drop);
        bytes += more;
    }
    return is_valid_utf8(bytes) ? bytes : replace_invalid_utf8(bytes);
}

std::size_t Tokenizer::vocab_size() const { return parts_->vocabulary.size(); }

std::string_view Tokenizer::token_bytes(TokenId id) const {
    return static_cast<std::size_t>(id) < vocab_size() ? std::string_view(parts_->vocabulary[id].bytes) : "";
}

std::string_view Tokenizer::token_text(TokenId id) const {
    return static_cast<std::size_t>(id) < vocab_size() ? std::string_view(parts_->vocabulary[id].text) : "";
}

std::optional<TokenId> find_token(const std::vector<VocabularyToken>& vocabulary, std::string_view text) {
    const auto found = std::find_if(vocabulary.begin(), vocabulary.end(),
                                    [text](const VocabularyToken& token) { return token.text == text; });
    if (text.empty() || found == vocabulary.end()) return std::nullopt;
    return static_cast<TokenId>(found - vocabulary.begin());
}

std::optional<TokenId> Tokenizer::token_id(std::string_view text) const {
    return find_token(parts_->vocabulary, text);
}

bool Tokenizer::is_special(TokenId id) const {
    return static_cast<std::size_t>(id) < vocab_size() && parts_->vocabulary[id].special;
}

std::optional<TokenId> Tokenizer::bos_id() const { return parts_->bos; }
std::optional<TokenId> Tokenizer::eos_id() const { return parts_->eos; }
std::string_view Tokenizer::bos_token() const { return token_text(parts_->bos.value_or(-1)); }
std::string_view Tokenizer::eos_token() const { return token_text(parts_->eos.value_or(-1)); }
std::size_t Tokenizer::leading_spaces_dropped() const { return parts_->leading_spaces_dropped; }

StreamingDetokenizer::StreamingDetokenizer(std::shared_ptr<const Tokenizer> tokenizer, DecodeOptions options)
    : tokenizer_(std::move(tokenizer)),
      skip_special_(options.skip_special),
      spaces_to_drop_(options.begins_text ? tokenizer_->leading_spaces_dropped() : 0) {}

std::string StreamingDetokenizer::push(TokenId id) {
    if (skip_special_ && tokenizer_->is_special(id)) return {};
    std::string_view bytes = tokenizer_->token_bytes(id);
    drop_leading_spaces(bytes, spaces_to_drop_);
    return stream_.push(bytes);
}

std::string StreamingDetokenizer::flush() { return stream_.flush(); }

}  // namespace troupe
