#include "model/tokenizer/json_parts.hpp"

#include "model/formats/printable.hpp"
#include "model/tokenizer/byte_level.hpp"
#include "model/tokenizer/known_patterns.hpp"
#include "model/tokenizer/loaders.hpp"

namespace troupe::tokenizer_json {

namespace {

constexpr std::string_view metaspace = "\xE2\x96\x81";

Error not_supported(std::string_view what, std::string_view type, std::string_view known) {
    return invalid_argument("The " + std::string(what) + " '" + printable(type) +
                            "' is not supported; supported are " + std::string(known) + ".");
}

Result<simdjson::dom::array> array_member(const Json& object, std::string_view key, std::string_view where) {
    simdjson::dom::array array;
    if (object[key].get(array)) {
        return invalid_argument("'" + std::string(key) + "' of " + std::string(where) +
                                " should be an array.");
    }
    return array;
}

// "pattern": {"String": ...} or {"Regex": ...}
Result<Regex> read_pattern(const Json& json, std::string_view where) {
    std::string_view text;
    if (!json["pattern"]["String"].get(text)) return Regex::literal(text);
    if (!json["pattern"]["Regex"].get(text)) return Regex::compile(text);
    return invalid_argument("The pattern of " + std::string(where) + " should be a String or a Regex.");
}

Status add_normalizer(const Json& json, std::vector<NormalizerStep>& steps) {
    const auto type = string_member(json, "type", "the normalizer");
    if (!type) return type.error();
    if (*type == "Sequence") {
        const auto parts = array_member(json, "normalizers", "the normalizer Sequence");
        if (!parts) return parts.error();
        for (const Json part : *parts) {
            if (Status s = add_normalizer(part, steps); !s) return s;
        }
    } else if (*type == "Prepend") {
        const auto prefix = string_member(json, "prepend", "the normalizer Prepend");
        if (!prefix) return prefix.error();
        steps.push_back(PrependNormalizer{std::string(*prefix)});
    } else if (*type == "Replace") {
        auto pattern = read_pattern(json, "the normalizer Replace");
        if (!pattern) return pattern.error();
        const auto content = string_member(json, "content", "the normalizer Replace");
        if (!content) return content.error();
        steps.push_back(ReplaceNormalizer{std::move(*pattern), std::string(*content)});
    } else if (*type == "Strip") {
        const auto left = bool_or(json, "strip_left", true);
        const auto right = bool_or(json, "strip_right", true);
        if (!left) return left.error();
        if (!right) return right.error();
        steps.push_back(StripNormalizer{*left, *right});
    } else if (*type == "NFC") {
        steps.push_back(NfcNormalizer{});
    } else {
        return not_supported("normalizer", *type, "Sequence, Prepend, Replace, Strip, NFC");
    }
    return {};
}

Result<SplitBehavior> read_behavior(const Json& json, std::string_view key, std::string_view where) {
    const auto name = string_member(json, key, where);
    if (!name) return name.error();
    if (*name == "Removed") return SplitBehavior::removed;
    if (*name == "Isolated") return SplitBehavior::isolated;
    if (*name == "MergedWithPrevious") return SplitBehavior::merged_with_previous;
    if (*name == "MergedWithNext") return SplitBehavior::merged_with_next;
    if (*name == "Contiguous") return SplitBehavior::contiguous;
    return not_supported("split behavior", *name,
                         "Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous");
}

Status add_split(Result<Regex> pattern, SplitBehavior behavior, bool invert, PreTokenizerParts& parts) {
    if (!pattern) return pattern.error();
    parts.steps.push_back(SplitPreTokenizer{std::move(*pattern), behavior, invert});
    return {};
}

Status add_byte_level(const Json& json, PreTokenizerParts& parts) {
    const auto add_prefix_space = bool_or(json, "add_prefix_space", true);
    const auto use_regex = bool_or(json, "use_regex", true);
    if (!add_prefix_space) return add_prefix_space.error();
    if (!use_regex) return use_regex.error();
    if (*add_prefix_space) parts.steps.push_back(AddSpacePreTokenizer{});
    parts.byte_level = true;
    return *use_regex ? add_split(Regex::compile(gpt2_pattern), SplitBehavior::isolated, false, parts)
                      : Status();
}

Status add_metaspace(const Json& json, PreTokenizerParts& parts) {
    using Prepend = MetaspacePreTokenizer::Prepend;
    const auto replacement = string_member(json, "replacement", "the pre-tokenizer Metaspace");
    if (!replacement) return replacement.error();
    if (replacement->empty())
        return invalid_argument("The replacement of the pre-tokenizer Metaspace is empty.");
    const auto split = bool_or(json, "split", true);
    if (!split) return split.error();
    const auto add_prefix_space =
        bool_or(json, "add_prefix_space", true);  // older files have it instead of a scheme
    if (!add_prefix_space) return add_prefix_space.error();
    MetaspacePreTokenizer step{std::string(*replacement),
                               *add_prefix_space ? Prepend::always : Prepend::never, *split};
    if (member(json, "prepend_scheme")) {
        const auto scheme = string_member(json, "prepend_scheme", "the pre-tokenizer Metaspace");
        if (!scheme) return scheme.error();
        if (*scheme != "always" && *scheme != "first" && *scheme != "never") {
            return not_supported("prepend_scheme", *scheme, "always, first, never");
        }
        step.prepend = *scheme == "always"  ? Prepend::always
                       : *scheme == "first" ? Prepend::first
                                            : Prepend::never;
    }
    parts.steps.push_back(std::move(step));
    return {};
}

Status add_pre_tokenizer(const Json& json, PreTokenizerParts& parts) {
    const auto type = string_member(json, "type", "the pre-tokenizer");
    if (!type) return type.error();
    if (parts.byte_level) {
        return invalid_argument("The pre-tokenizer '" + printable(*type) +
                                "' after ByteLevel is not supported; ByteLevel must be the last.");
    }
    if (*type == "Sequence") {
        const auto steps = array_member(json, "pretokenizers", "the pre-tokenizer Sequence");
        if (!steps) return steps.error();
        for (const Json step : *steps) {
            if (Status s = add_pre_tokenizer(step, parts); !s) return s;
        }
        return {};
    }
    if (*type == "Split") {
        const auto behavior = read_behavior(json, "behavior", "the pre-tokenizer Split");
        if (!behavior) return behavior.error();
        const auto invert = bool_or(json, "invert", false);
        if (!invert) return invert.error();
        return add_split(read_pattern(json, "the pre-tokenizer Split"), *behavior, *invert, parts);
    }
    if (*type == "ByteLevel") return add_byte_level(json, parts);
    if (*type == "Metaspace") return add_metaspace(json, parts);
    if (*type == "Digits") {
        const auto individual = bool_or(json, "individual_digits", false);
        if (!individual) return individual.error();
        return add_split(Regex::compile(*individual ? R"(\p{N})" : R"(\p{N}+)"), SplitBehavior::isolated,
                         false, parts);
    }
    if (*type == "Punctuation") {
        auto behavior = Result<SplitBehavior>(SplitBehavior::isolated);
        if (member(json, "behavior"))
            behavior = read_behavior(json, "behavior", "the pre-tokenizer Punctuation");
        if (!behavior) return behavior.error();
        return add_split(Regex::compile(R"([\p{P}$+<=>^`|~])"), *behavior, false, parts);
    }
    return not_supported("pre-tokenizer", *type,
                         "Sequence, Split, ByteLevel, Digits, Metaspace, Punctuation");
}

Status add_special_token(const Json& processor, std::string_view name, std::vector<TokenId>& ids) {
    simdjson::dom::array listed;
    if (processor["special_tokens"][name]["ids"].get(listed)) {
        return invalid_argument("The post-processor's template uses '" + printable(name) +
                                "', whose ids its special_tokens do not give.");
    }
    for (const Json element : listed) {
        std::uint64_t id = 0;
        if (element.get(id) || id > INT32_MAX) {
            return invalid_argument("The ids of the post-processor's special tokens should be token ids.");
        }
        ids.push_back(static_cast<TokenId>(id));
    }
    return {};
}

Status add_template(const Json& json, TemplateParts& parts) {
    const auto single = array_member(json, "single", "the post-processor TemplateProcessing");
    if (!single) return single.error();
    bool after_text = false;
    for (const Json piece : *single) {
        std::string_view name;
        if (!piece["SpecialToken"]["id"].get(name)) {
            if (Status s = add_special_token(json, name, after_text ? parts.suffix : parts.prefix); !s)
                return s;
        } else if (!piece["Sequence"]["id"].get(name) && name == "A" && !after_text) {
            after_text = true;
        } else {
            return invalid_argument(
                "The post-processor's template 'single' should hold special tokens and, once, A.");
        }
    }
    return after_text ? Status() : invalid_argument("The post-processor's template 'single' drops the text.");
}

Status add_post_processor(const Json& json, TemplateParts& parts) {
    const auto type = string_member(json, "type", "the post-processor");
    if (!type) return type.error();
    if (*type == "ByteLevel") return {};  // it adjusts offsets only
    if (*type == "TemplateProcessing") return add_template(json, parts);
    if (*type == "Sequence") {
        const auto processors = array_member(json, "processors", "the post-processor Sequence");
        if (!processors) return processors.error();
        for (const Json processor : *processors) {
            if (Status s = add_post_processor(processor, parts); !s) return s;
        }
        return {};
    }
    return not_supported("post-processor", *type, "Sequence, TemplateProcessing, ByteLevel");
}

// A chain of decoders as bytes of single tokens: what joins tokens (Fuse) may only be followed by dropping
// leading spaces.
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
        if (fused_ || decoder.kind == Decoder::Kind::byte_level) {
            return invalid_argument("The decoder '" + printable(*type) +
                                    "' after Fuse or ByteLevel is not supported.");
        }
        if (*type == "ByteFallback") {
            decoder.byte_fallback = true;
            return {};
        }
        if (*type == "ByteLevel" && decoder.replacements.empty() && !decoder.byte_fallback) {
            decoder.kind = Decoder::Kind::byte_level;
            return {};
        }
        if (*type == "Replace") return add_replace(json);
        if (*type == "Metaspace") return add_metaspace(json);
        return not_supported("decoder", *type,
                             "Sequence, ByteLevel (alone), Replace, ByteFallback, Fuse, Strip, Metaspace");
    }

    Decoder decoder;

  private:
    Status add_replace(const Json& json) {
        std::string_view pattern;
        if (json["pattern"]["String"].get(pattern) || pattern.empty()) {
            return invalid_argument("The pattern of the decoder Replace should be a String.");
        }
        if (decoder.byte_fallback)
            return invalid_argument("The decoder Replace after ByteFallback is not supported.");
        const auto content = string_member(json, "content", "the decoder Replace");
        if (!content) return content.error();
        decoder.replacements.emplace_back(pattern, *content);
        return {};
    }

    Status add_strip(const Json& json) {
        std::string_view content;
        std::uint64_t start = 0;
        std::uint64_t stop = 0;
        if (json["content"].get(content) || json["start"].get(start) || json["stop"].get(stop)) {
            return invalid_argument("The decoder Strip should have 'content', 'start' and 'stop'.");
        }
        if (!fused_ || content != " " || stop != 0) {
            return invalid_argument("The decoder Strip is supported after Fuse, for leading spaces only.");
        }
        decoder.leading_spaces_dropped += start;
        return {};
    }

    Status add_metaspace(const Json& json) {
        PreTokenizerParts parts;
        if (Status s = tokenizer_json::add_metaspace(json, parts); !s) return s;
        const auto& step = std::get<MetaspacePreTokenizer>(parts.steps.front());
        decoder.replacements.emplace_back(step.replacement, " ");
        if (step.prepend != MetaspacePreTokenizer::Prepend::never) decoder.leading_spaces_dropped += 1;
        return {};
    }

    bool fused_ = false;
};

}  // namespace

std::optional<Json> member(const Json& object, std::string_view key) {
    Json value;
    if (object[key].get(value) || value.is_null()) return std::nullopt;
    return value;
}

Result<bool> bool_or(const Json& object, std::string_view key, bool fallback) {
    const auto value = member(object, key);
    bool flag = fallback;
    if (value && value->get(flag))
        return invalid_argument("'" + std::string(key) + "' should be true or false.");
    return flag;
}

Result<std::string_view> string_member(const Json& object, std::string_view key, std::string_view where) {
    std::string_view text;
    if (object[key].get(text)) {
        return invalid_argument("'" + std::string(key) + "' of " + std::string(where) +
                                " should be a string.");
    }
    return text;
}

Result<std::vector<NormalizerStep>> read_normalizer(const std::optional<Json>& json) {
    std::vector<NormalizerStep> steps;
    if (!json) return steps;
    if (Status s = add_normalizer(*json, steps); !s) return s.error();
    return steps;
}

Result<PreTokenizerParts> read_pre_tokenizer(const std::optional<Json>& json) {
    PreTokenizerParts parts;
    if (!json) return parts;
    if (Status s = add_pre_tokenizer(*json, parts); !s) return s.error();
    return parts;
}

Result<TemplateParts> read_post_processor(const std::optional<Json>& json) {
    TemplateParts parts;
    if (!json) return parts;
    if (Status s = add_post_processor(*json, parts); !s) return s.error();
    return parts;
}

Result<Decoder> read_decoder(const std::optional<Json>& json) {
    DecoderReader reader;
    if (!json) {
        reader.decoder.before_each = " ";
        reader.decoder.leading_spaces_dropped = 1;
    } else if (Status s = reader.add(*json); !s) {
        return s.error();
    }
    return std::move(reader.decoder);
}

std::string Decoder::bytes_of(std::string_view spelling) const {
    if (kind == Kind::byte_level) return byte_level_decode(spelling).value_or(std::string(spelling));
    if (byte_fallback) {
        if (const auto byte = parse_byte_token(spelling)) return {static_cast<char>(*byte)};
    }
    std::string bytes = before_each + std::string(spelling);
    for (const auto& [from, to] : replacements) bytes = replace_all(bytes, from, to);
    return bytes;
}

}  // namespace troupe::tokenizer_json
