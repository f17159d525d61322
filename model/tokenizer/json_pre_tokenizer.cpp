#include "model/formats/printable.hpp"
#include "model/tokenizer/json_parts.hpp"
#include "model/tokenizer/known_patterns.hpp"

namespace troupe::tokenizer_json {

namespace {

// ASCII's and Unicode's; and a word as the regex crate of Rust has it.
constexpr std::string_view punctuation_pattern = R"([\p{P}$+<=>^`|~])";
constexpr std::string_view words_pattern =
    R"([\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{200C}\x{200D}\x{24B6}-\x{24E9}\x{1F130}-\x{1F149}\x{1F150}-\x{1F169}\x{1F170}-\x{1F189}]+)"
    R"(|[^\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{200C}\x{200D}\x{24B6}-\x{24E9}\x{1F130}-\x{1F149}\x{1F150}-\x{1F169}\x{1F170}-\x{1F189}\s]+)";

Result<SplitBehavior> read_behavior(const Json& json, std::string_view where) {
    const auto name = string_member(json, "behavior", where);
    if (!name) return name.error();
    if (*name == "Removed") return SplitBehavior::removed;
    if (*name == "Isolated") return SplitBehavior::isolated;
    if (*name == "MergedWithPrevious") return SplitBehavior::merged_with_previous;
    if (*name == "MergedWithNext") return SplitBehavior::merged_with_next;
    if (*name == "Contiguous") return SplitBehavior::contiguous;
    return not_supported("split behavior", *name,
                         "Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous");
}

class PreTokenizerReader {
  public:
    Status add(const Json& json) {
        const auto type = string_member(json, "type", "the pre-tokenizer");
        if (!type) return type.error();
        if (*type == "Sequence") return add_sequence(json);
        if (parts.byte_level) {  // it was not the last: what follows sees the alphabet's characters
            parts.steps.emplace_back(ByteLevelPreTokenizer{});
            parts.byte_level = false;
        }
        if (*type == "Split") return add_split(json);
        if (*type == "ByteLevel") return add_byte_level(json);
        if (*type == "Metaspace") return add_metaspace(json);
        if (*type == "Digits") return add_digits(json);
        if (*type == "Punctuation") return add_punctuation(json);
        if (*type == "Whitespace") return split(Regex::compile(words_pattern), SplitBehavior::removed, true);
        if (*type == "WhitespaceSplit") return split(Regex::compile("\\s"), SplitBehavior::removed);
        if (*type == "BertPreTokenizer") {
            if (Status s = split(Regex::compile("\\s"), SplitBehavior::removed); !s) return s;
            return split(Regex::compile(punctuation_pattern));
        }
        if (*type == "CharDelimiterSplit") {
            const auto delimiter =
                character_member(json, "delimiter", "the pre-tokenizer CharDelimiterSplit");
            if (!delimiter) return delimiter.error();
            return split(Regex::literal(*delimiter), SplitBehavior::removed);
        }
        return not_supported("pre-tokenizer", *type,
                             "Sequence, Split, ByteLevel, Digits, Metaspace, Punctuation, Whitespace, "
                             "WhitespaceSplit, BertPreTokenizer, CharDelimiterSplit");
    }

    PreTokenizerParts parts;

  private:
    Status split(Result<Regex> pattern, SplitBehavior behavior = SplitBehavior::isolated,
                 bool invert = false) {
        if (!pattern) return pattern.error();
        parts.steps.push_back(SplitPreTokenizer{std::move(*pattern), behavior, invert});
        return {};
    }

    Status add_sequence(const Json& json) {
        const auto steps = array_member(json, "pretokenizers", "the pre-tokenizer Sequence");
        if (!steps) return steps.error();
        for (const Json step : *steps) {
            if (Status s = add(step); !s) return s;
        }
        return {};
    }

    Status add_split(const Json& json) {
        const auto behavior = read_behavior(json, "the pre-tokenizer Split");
        if (!behavior) return behavior.error();
        const auto invert = bool_or(json, "invert", false);
        if (!invert) return invert.error();
        return split(pattern_member(json, "the pre-tokenizer Split"), *behavior, *invert);
    }

    Status add_byte_level(const Json& json) {
        const auto add_prefix_space = bool_or(json, "add_prefix_space", true);
        const auto use_regex = bool_or(json, "use_regex", true);
        if (!add_prefix_space) return add_prefix_space.error();
        if (!use_regex) return use_regex.error();
        if (*add_prefix_space) parts.steps.emplace_back(AddSpacePreTokenizer{});
        parts.byte_level = true;
        return *use_regex ? split(Regex::compile(gpt2_pattern)) : Status();
    }

    Status add_metaspace(const Json& json) {
        auto step = read_metaspace(json);
        if (!step) return step.error();
        parts.steps.push_back(std::move(*step));
        return {};
    }

    Status add_digits(const Json& json) {
        const auto individual = bool_or(json, "individual_digits", false);
        if (!individual) return individual.error();
        return split(Regex::compile(*individual ? R"(\p{N})" : R"(\p{N}+)"));
    }

    Status add_punctuation(const Json& json) {
        auto behavior = Result<SplitBehavior>(SplitBehavior::isolated);
        if (member(json, "behavior")) behavior = read_behavior(json, "the pre-tokenizer Punctuation");
        if (!behavior) return behavior.error();
        return split(Regex::compile(punctuation_pattern), *behavior);
    }
};

}  // namespace

Result<MetaspacePreTokenizer> read_metaspace(const Json& json) {
    using Prepend = MetaspacePreTokenizer::Prepend;
    const auto replacement = character_member(json, "replacement", "Metaspace");
    if (!replacement) return replacement.error();
    const auto split = bool_or(json, "split", true);
    if (!split) return split.error();
    const auto add_prefix_space =
        bool_or(json, "add_prefix_space", true);  // older files have it instead of a scheme
    if (!add_prefix_space) return add_prefix_space.error();
    MetaspacePreTokenizer step{std::string(*replacement),
                               *add_prefix_space ? Prepend::always : Prepend::never, *split};
    if (!member(json, "prepend_scheme")) return step;
    const auto scheme = string_member(json, "prepend_scheme", "Metaspace");
    if (!scheme) return scheme.error();
    if (*scheme != "always" && *scheme != "first" && *scheme != "never") {
        return not_supported("prepend_scheme", *scheme, "always, first, never");
    }
    if (!*add_prefix_space && *scheme != "never") {
        return invalid_argument("Metaspace has 'add_prefix_space' false and the 'prepend_scheme' '" +
                                std::string(*scheme) + "', which contradict each other.");
    }
    step.prepend = *scheme == "always"  ? Prepend::always
                   : *scheme == "first" ? Prepend::first
                                        : Prepend::never;
    return step;
}

Result<PreTokenizerParts> read_pre_tokenizer(const std::optional<Json>& json) {
    PreTokenizerReader reader;
    if (!json) return std::move(reader.parts);
    if (Status s = reader.add(*json); !s) return s.error();
    return std::move(reader.parts);
}

}  // namespace troupe::tokenizer_json
