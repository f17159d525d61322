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
        for (const Word& word : words_.words) {
            if (parts_.bpe) {
                parts_.bpe->encode(word.text, *scratch_, ids);
            } else {
                parts_.unigram->encode(word.text, ids);
            }
        }
        return {};
    }

    const TokenizerParts& parts_;
    bool parse_special_;
    Bpe::ScratchPtr scratch_;
    Words words_;
};

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
    const std::shared_ptr<const Tokenizer> self(std::shared_ptr<const Tokenizer>(), this);  // owns nothing
    StreamingDetokenizer stream(self, options);
    std::string text;
    for (const TokenId id : ids) text += stream.push(id);
    return text += stream.flush();
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

StreamingDetokenizer::StreamingDetokenizer(std::shared_ptr<const Tokenizer> tokenizer, DecodeOptions options)
    : tokenizer_(std::move(tokenizer)),
      options_(options),
      at_start_(options.begins_text),
      left_to_strip_(options.begins_text ? tokenizer_->parts_->decoder.strip_start : 0) {}

std::string StreamingDetokenizer::push(TokenId id) {
    const std::string_view spelling = tokenizer_->token_text(id);
    if (spelling.empty() || (options_.skip_special && tokenizer_->is_special(id))) return {};
    const TokenizerParts& parts = *tokenizer_->parts_;
    const Decoder& decoder = parts.decoder;
    std::string_view bytes = tokenizer_->token_bytes(id);
    Result<std::string> first = std::string();
    if (at_start_ && decoder.first_differs()) {
        const auto respelled = parts.respelled.find(id);
        first = decoder.bytes_of(respelled == parts.respelled.end() ? spelling : respelled->second, true);
        if (first) bytes = *first;
    }
    at_start_ = false;
    while (left_to_strip_ > 0 && !bytes.empty()) {
        const bool strips = bytes[0] == decoder.stripped;
        left_to_strip_ = strips ? left_to_strip_ - 1 : 0;
        if (strips) bytes.remove_prefix(1);
    }
    return hold_back(stream_.push(bytes));
}

std::string StreamingDetokenizer::flush() {
    std::string text = hold_back(stream_.flush());
    held_.clear();
    return text;
}

// Keeps what the decoder strips from the end of the text, should it end here.
std::string StreamingDetokenizer::hold_back(std::string text) {
    const Decoder& decoder = tokenizer_->parts_->decoder;
    if (decoder.strip_stop == 0) return text;
    text.insert(0, held_);
    std::size_t end = text.size();
    while (end > 0 && text.size() - end < decoder.strip_stop && text[end - 1] == decoder.stripped) --end;
    held_ = text.substr(end);
    text.resize(end);
    return text;
}

}  // namespace troupe
