#include "model/tokenizer/json_parts.hpp"

namespace troupe::tokenizer_json {

namespace {

Result<NormalizerStep> read_prepend(const Json& json) {
    const auto prefix = string_member(json, "prepend", "the normalizer Prepend");
    if (!prefix) return prefix.error();
    return NormalizerStep(PrependNormalizer{std::string(*prefix)});
}

Result<NormalizerStep> read_replace(const Json& json) {
    auto pattern = pattern_member(json, "the normalizer Replace");
    if (!pattern) return pattern.error();
    const auto content = string_member(json, "content", "the normalizer Replace");
    if (!content) return content.error();
    return NormalizerStep(ReplaceNormalizer{std::move(*pattern), std::string(*content)});
}

Result<NormalizerStep> read_strip(const Json& json) {
    const auto left = bool_or(json, "strip_left", true);
    const auto right = bool_or(json, "strip_right", true);
    if (!left) return left.error();
    if (!right) return right.error();
    return NormalizerStep(StripNormalizer{*left, *right});
}

Result<NormalizerStep> read_precompiled(const Json& json) {
    const auto base64 = string_member(json, "precompiled_charsmap", "the normalizer Precompiled");
    if (!base64) return base64.error();
    auto map = Charsmap::parse(*base64);
    if (!map) return map.error();
    return NormalizerStep(CharsmapNormalizer{std::make_shared<const Charsmap>(std::move(*map))});
}

Result<NormalizerStep> read_step(std::string_view type, const Json& json) {
    if (type == "Prepend") return read_prepend(json);
    if (type == "Replace") return read_replace(json);
    if (type == "Strip") return read_strip(json);
    if (type == "Precompiled") return read_precompiled(json);
    if (type == "NFC") return NormalizerStep(NormalizationForm::c);
    if (type == "NFD") return NormalizerStep(NormalizationForm::d);
    if (type == "NFKC") return NormalizerStep(NormalizationForm::kc);
    if (type == "NFKD") return NormalizerStep(NormalizationForm::kd);
    if (type == "Lowercase") return NormalizerStep(LowercaseNormalizer{});
    if (type == "StripAccents") return NormalizerStep(StripAccentsNormalizer{});
    if (type == "Nmt") return NormalizerStep(NmtNormalizer{});
    if (type == "ByteLevel") return NormalizerStep(ByteLevelNormalizer{});
    return not_supported("normalizer", type,
                         "Sequence, Prepend, Replace, Strip, Precompiled, NFC, NFD, NFKC, NFKD, Lowercase, "
                         "StripAccents, Nmt, ByteLevel");
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
        return {};
    }
    auto step = read_step(*type, json);
    if (!step) return step.error();
    steps.push_back(std::move(*step));
    return {};
}

}  // namespace

Result<std::vector<NormalizerStep>> read_normalizer(const std::optional<Json>& json) {
    std::vector<NormalizerStep> steps;
    if (!json) return steps;
    if (Status s = add_normalizer(*json, steps); !s) return s.error();
    return steps;
}

}  // namespace troupe::tokenizer_json
