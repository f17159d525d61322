#include "model/convert/tokenizer_metadata.hpp"

#include <simdjson.h>

#include <limits>
#include <map>

#include "model/formats/printable.hpp"
#include "model/tokenizer/json_parts.hpp"
#include "model/tokenizer/known_patterns.hpp"
#include "model/tokenizer/spelling.hpp"

namespace troupe {
namespace {

using tokenizer_json::Json;
using tokenizer_json::member;

enum TokenType : std::int32_t {
    normal = 1,
    unknown = 2,
    control = 3,
    user_defined = 4,
    unused = 5,
    byte = 6
};

bool is_true(const Json& json, std::string_view key, bool otherwise = false) {
    bool value = otherwise;
    const auto found = member(json, key);
    return !found || found->get(value) ? otherwise : value;
}

std::string_view text_of(const Json& json, std::string_view key) {
    std::string_view text;
    const auto found = member(json, key);
    return !found || found->get(text) ? std::string_view() : text;
}

// The patterns that isolate words, in their order. False: something else is done to the text.
bool collect_patterns(const Json& json, std::vector<std::string>& patterns) {
    const std::string_view type = text_of(json, "type");
    if (type == "Sequence") {
        simdjson::dom::array steps;
        if (json["pretokenizers"].get(steps)) return false;
        for (const Json step : steps)
            if (!collect_patterns(step, patterns)) return false;
        return true;
    }
    if (type == "ByteLevel") {
        if (is_true(json, "use_regex", true)) patterns.emplace_back(gpt2_pattern);
        return !is_true(json, "add_prefix_space", true);
    }
    if (type == "Digits" && is_true(json, "individual_digits")) {
        patterns.emplace_back(R"(\p{N})");
        return true;
    }
    const auto pattern = member(json, "pattern");
    // Where a pattern leaves nothing out, removing what lies between its matches is the same.
    const std::string_view behavior = text_of(json, "behavior");
    const bool isolates = is_true(json, "invert") ? behavior == "Removed" : behavior == "Isolated";
    if (type != "Split" || !pattern || !isolates || text_of(*pattern, "Regex").empty()) return false;
    patterns.emplace_back(text_of(*pattern, "Regex"));
    return true;
}

class TokenizerWriter {
  public:
    TokenizerWriter(GgufHead& head, const Json& root, const LoadedModel& model)
        : head_(head), root_(root), tokenizer_(*model.tokenizer), size_(model.spec.vocab_size) {}

    Status write() {
        const auto model = member(root_, "model");
        if (!model || tokenizer_json::member(*model, "vocab")->is_array())
            return refuse("is no BPE tokenizer; GGUF files are written for those only.");
        model_ = *model;
        if (Status s = read_tokens(); !s) return s;
        const Status s = is_true(model_, "byte_fallback") ? write_spelled() : write_byte_level();
        if (!s) return s;
        write_tokens();
        return write_special();
    }

  private:
    static Error refuse(const std::string& what) { return invalid_argument("tokenizer.json " + what); }

    Status read_tokens() {
        texts_.resize(size_);
        types_.assign(size_, unused);
        simdjson::dom::object vocab;
        if (model_["vocab"].get(vocab)) return refuse("has no vocabulary.");
        for (const auto [text, element] : vocab)
            if (Status s = set_token(element, text, normal); !s) return s;
        simdjson::dom::array added;
        if (!root_["added_tokens"].get(added)) {
            for (const Json token : added) {
                const auto id = member(token, "id");
                const TokenType type = is_true(token, "special") ? control : user_defined;
                if (!id) return refuse("has an added token without an id.");
                if (Status s = set_token(*id, text_of(token, "content"), type); !s) return s;
            }
        }
        // The model's logits may be wider than its vocabulary.
        for (std::size_t i = 0; i < size_; ++i) {
            if (types_[i] != unused) continue;
            padding_.push_back("[PAD" + std::to_string(i) + "]");
            texts_[i] = padding_.back();
        }
        return {};
    }

    Status set_token(const Json& element, std::string_view text, TokenType type) {
        std::uint64_t id = 0;
        if (element.get(id) || id >= size_)
            return refuse("has the token '" + printable(text) + "', whose id the model does not know.");
        texts_[id] = text;
        types_[id] = type;
        return {};
    }

    Status write_byte_level() {
        std::vector<std::string> patterns;
        const auto json = member(root_, "pre_tokenizer");
        const bool ignore_merges = is_true(model_, "ignore_merges");
        const auto name = json && collect_patterns(*json, patterns)
                              ? name_of_pre_tokenizer(patterns, ignore_merges)
                              : std::nullopt;
        if (!name) return refuse("cuts texts into words in a way that GGUF has no name for.");
        head_.set("tokenizer.ggml.model", "gpt2");
        head_.set("tokenizer.ggml.pre", *name);
        std::vector<std::string> merges;
        if (Status s = for_merges([&](std::string_view left, std::string_view right) {
                merges.push_back(std::string(left) + " " + std::string(right));
            });
            !s)
            return s;
        const std::vector<std::string_view> views(merges.begin(), merges.end());
        head_.set("tokenizer.ggml.merges", std::span(views));
        return {};
    }

    // SentencePiece's rule merges what gives the token of the highest score: minus the rank of its merge.
    Status write_spelled() {
        head_.set("tokenizer.ggml.model", "llama");
        head_.set("tokenizer.ggml.pre", "default");
        head_.set("tokenizer.ggml.add_space_prefix", adds_space());
        std::map<std::string, float, std::less<>> ranks;
        if (Status s = for_merges([&](std::string_view left, std::string_view right) {
                ranks.emplace(std::string(left).append(right), static_cast<float>(ranks.size()));
            });
            !s)
            return s;
        const std::string_view unknown_token = text_of(model_, "unk_token");
        std::vector<float> scores(size_);
        for (std::size_t i = 0; i < size_; ++i) {
            const auto rank = ranks.find(texts_[i]);
            scores[i] = rank == ranks.end() ? -static_cast<float>(size_) : -rank->second;
            if (types_[i] == normal && parse_byte_token(texts_[i])) types_[i] = byte;
            if (texts_[i] == unknown_token) types_[i] = unknown;
        }
        head_.set("tokenizer.ggml.scores", std::span<const float>(scores));
        return {};
    }

    template <class F>
    Status for_merges(F f) {
        simdjson::dom::array merges;
        if (model_["merges"].get(merges)) return refuse("has no merges.");
        for (const Json merge : merges) {
            std::string_view left, right, text;
            simdjson::dom::array pair;
            if (!merge.get(pair)) {
                if (pair.size() != 2 || pair.at(0).get(left) || pair.at(1).get(right))
                    return refuse("has a merge of other than two tokens.");
            } else if (!merge.get(text)) {
                const std::size_t space = text.find(' ');
                if (text.starts_with("#version")) continue;
                if (space == std::string_view::npos) return refuse("has a merge of one token.");
                left = text.substr(0, space);
                right = text.substr(space + 1);
            }
            f(left, right);
        }
        return {};
    }

    // Whether a text gets a space before it, by whichever component.
    bool adds_space() const {
        const auto ids = tokenizer_.encode("a");
        return ids && !ids->empty() && tokenizer_.token_text(ids->front()).starts_with(metaspace);
    }

    void write_tokens() {
        head_.set("tokenizer.ggml.tokens", std::span<const std::string_view>(texts_));
        head_.set("tokenizer.ggml.token_type", std::span<const std::int32_t>(types_));
    }

    Status write_special() {
        const auto around = tokenizer_.encode("", {.parse_special = false, .add_special = true});
        if (!around) return around.error();
        const auto bos = tokenizer_.bos_id();
        const auto eos = tokenizer_.eos_id();
        if (bos) head_.set("tokenizer.ggml.bos_token_id", static_cast<std::uint32_t>(*bos));
        head_.set("tokenizer.ggml.add_bos_token", bos && !around->empty() && around->front() == *bos);
        head_.set("tokenizer.ggml.add_eos_token",
                  eos && !around->empty() && around->back() == *eos && (eos != bos || around->size() > 1));
        return {};
    }

    GgufHead& head_;
    const Json& root_;
    const Tokenizer& tokenizer_;
    std::size_t size_;
    Json model_;
    std::vector<std::string_view> texts_;  // by id
    std::vector<std::int32_t> types_;
    std::deque<std::string> padding_;
};

constexpr std::string_view sample =
    "Hello, world! It's 2024; I can't, we'll, THEY'RE 12345678 apples.\n\n\tx  y   z \r\n  3.14 na\xC3\xAFve "
    "caf\xC3\xA9 \xE4\xBD\xA0\xE5\xA5\xBD\xE4\xB8\x96\xE7\x95\x8C \xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E "
    "\xD0\x9F\xD1\x80\xD0\xB8\xD0\xB2\xD0\xB5\xD1\x82 \xF0\x9F\x99\x82\xF0\x9F\x91\x8D def f(x):\n    return "
    "x**2  # \xC2\xBD <b>&amp;</b> snake_case CamelCase  ";

}  // namespace

Status set_tokenizer(GgufHead& head, const LoadedModel& model, const std::filesystem::path& directory) {
    if (!model.tokenizer) {
        head.set("tokenizer.ggml.model", "none");
        return {};
    }
    simdjson::dom::parser parser;
    Json root;
    if (const auto error = parser.load((directory / "tokenizer.json").string()).get(root))
        return invalid_argument("tokenizer.json: " + std::string(simdjson::error_message(error)));
    return TokenizerWriter(head, root, model).write();
}

Status check_tokenizer(const GgufFile& written, const Tokenizer& original) {
    const auto tokenizer = load_tokenizer(written);
    if (!tokenizer) return tokenizer.error();
    std::string text(sample);
    for (std::size_t id = 0; id < original.vocab_size() && text.size() < 4096; ++id)
        if (original.is_special(static_cast<TokenId>(id)))
            text += original.token_text(static_cast<TokenId>(id));
    for (const bool special : {false, true}) {
        const auto wanted = original.encode(text, {.parse_special = special, .add_special = special});
        const auto got = (*tokenizer)->encode(text, {.parse_special = special, .add_special = special});
        if (!wanted) return wanted.error();
        if (!got) return got.error();
        if (*wanted != *got) {
            return invalid_argument(
                "GGUF cannot say what this model's tokenizer.json does: a text would become other tokens. "
                "Serve "
                "the directory itself (with --quantize, if it should be smaller).");
        }
    }
    return {};
}

}  // namespace troupe
