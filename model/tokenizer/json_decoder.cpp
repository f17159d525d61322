#include <algorithm>

#include "model/formats/printable.hpp"
#include "model/tokenizer/json_parts.hpp"

namespace troupe::tokenizer_json {

namespace {

// A chain of decoders as steps on single tokens: what joins tokens (Fuse, ByteLevel) may only be followed by
// stripping the text's ends.
class DecoderReader {
  public:
    Status add(const Json& json) {
        const auto type = string_member(json, "type", "the decoder");
        if (!type) return type.error();
        if (*type == "Sequence") {
            const auto decoders = array_member(json, "decoders", "the decoder Sequence");
            if (!decoders) return decoders.error();
            for (const Json part : *decoders) {
                if (Status s = add(part); !s) return s;
            }
            return {};
        }
        if (*type == "Strip") return add_strip(json);
        if (*type == "Fuse") {
            fused_ = true;
            return {};
        }
        if (fused_ || after_byte_fallback_) {
            return invalid_argument("The decoder '" + printable(*type) +
                                    "' after Fuse, ByteLevel or ByteFallback is not supported.");
        }
        if (*type == "ByteFallback") {
            after_byte_fallback_ = true;
            decoder.steps.emplace_back(ByteFallbackDecoder{});
            return {};
        }
        if (*type == "ByteLevel") {
            fused_ = true;
            decoder.steps.emplace_back(ByteLevelDecoder{});
            return {};
        }
        if (*type == "Replace") return add_replace(json);
        if (*type == "Metaspace") return add_metaspace(json);
        if (*type == "WordPiece") return add_word_piece(json);
        return not_supported("decoder", *type,
                             "Sequence, ByteLevel, Replace, ByteFallback, Fuse, Strip, Metaspace, WordPiece");
    }

    Decoder decoder;

  private:
    Status add_replace(const Json& json) {
        auto pattern = pattern_member(json, "the decoder Replace");
        if (!pattern) return pattern.error();
        const auto content = string_member(json, "content", "the decoder Replace");
        if (!content) return content.error();
        decoder.steps.push_back(ReplaceDecoder{std::move(*pattern), std::string(*content)});
        return {};
    }

    Status add_strip(const Json& json) {
        const auto content = character_member(json, "content", "the decoder Strip");
        if (!content) return content.error();
        std::uint64_t start = 0;
        std::uint64_t stop = 0;
        if (json["start"].get(start) || json["stop"].get(stop)) {
            return invalid_argument("'start' and 'stop' of the decoder Strip should be numbers.");
        }
        if (!fused_ && !after_byte_fallback_) {
            decoder.steps.push_back(StripDecoder{std::string(*content), start, stop});
            return {};
        }
        if (!fused_ || content->size() != 1 || stripped_) {
            return invalid_argument(
                "The decoder Strip is supported before ByteFallback, or once after Fuse for an ASCII "
                "character.");
        }
        stripped_ = true;
        decoder.stripped = content->front();
        decoder.strip_start = start;
        decoder.strip_stop = stop;
        return {};
    }

    Status add_metaspace(const Json& json) {
        auto step = read_metaspace(json);
        if (!step) return step.error();
        decoder.steps.push_back(MetaspaceDecoder{std::move(step->replacement),
                                                 step->prepend != MetaspacePreTokenizer::Prepend::never});
        return {};
    }

    Status add_word_piece(const Json& json) {
        const auto prefix = string_member(json, "prefix", "the decoder WordPiece");
        if (!prefix) return prefix.error();
        const auto cleanup = bool_or(json, "cleanup", true);
        if (!cleanup) return cleanup.error();
        decoder.steps.push_back(WordPieceDecoder{std::string(*prefix), *cleanup});
        return {};
    }

    bool fused_ = false;
    bool after_byte_fallback_ = false;
    bool stripped_ = false;
};

}  // namespace

Result<Decoder> read_decoder(const std::optional<Json>& json) {
    DecoderReader reader;
    if (!json) {
        reader.decoder.steps.emplace_back(SpaceDecoder{});
    } else if (Status s = reader.add(*json); !s) {
        return s.error();
    }
    return std::move(reader.decoder);
}

}  // namespace troupe::tokenizer_json
