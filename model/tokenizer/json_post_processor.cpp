#include "model/formats/printable.hpp"
#include "model/tokenizer/json_parts.hpp"

namespace troupe::tokenizer_json {

namespace {

Result<TokenId> read_id(const Json& element) {
    std::uint64_t id = 0;
    if (element.get(id) || id > INT32_MAX) {
        return invalid_argument("The ids of the post-processor's special tokens should be token ids.");
    }
    return static_cast<TokenId>(id);
}

Status add_special_token(const Json& processor, std::string_view name, std::vector<TokenId>& ids) {
    simdjson::dom::array listed;
    if (processor["special_tokens"][name]["ids"].get(listed)) {
        return invalid_argument("The post-processor's template uses '" + printable(name) +
                                "', whose ids its special_tokens do not give.");
    }
    for (const Json element : listed) {
        const auto id = read_id(element);
        if (!id) return id.error();
        ids.push_back(*id);
    }
    return {};
}

Result<TemplateParts> read_template(const Json& json) {
    const auto single = array_member(json, "single", "the post-processor TemplateProcessing");
    if (!single) return single.error();
    TemplateParts parts;
    bool after_text = false;
    for (const Json piece : *single) {
        std::string_view name;
        if (!piece["SpecialToken"]["id"].get(name)) {
            if (Status s = add_special_token(json, name, after_text ? parts.suffix : parts.prefix); !s)
                return s.error();
        } else if (!piece["Sequence"]["id"].get(name) && name == "A" && !after_text) {
            after_text = true;
        } else {
            return invalid_argument(
                "The post-processor's template 'single' should hold special tokens and, once, A.");
        }
    }
    if (!after_text) return invalid_argument("The post-processor's template 'single' drops the text.");
    return parts;
}

// BertProcessing and RobertaProcessing: "cls" and "sep" are pairs of a token and its id.
Result<TemplateParts> read_cls_and_sep(const Json& json, std::string_view type) {
    TemplateParts parts;
    for (const std::string_view key : {"cls", "sep"}) {
        Json id_json;
        if (json[key].at(1).get(id_json)) {
            return invalid_argument("'" + std::string(key) + "' of the post-processor " + std::string(type) +
                                    " should be a token and its id.");
        }
        const auto id = read_id(id_json);
        if (!id) return id.error();
        (key == "cls" ? parts.prefix : parts.suffix).push_back(*id);
    }
    return parts;
}

// Each processor of a sequence works on what those before it made.
void wrap(TemplateParts& inner, const TemplateParts& outer) {
    inner.prefix.insert(inner.prefix.begin(), outer.prefix.begin(), outer.prefix.end());
    inner.suffix.insert(inner.suffix.end(), outer.suffix.begin(), outer.suffix.end());
}

Status add_post_processor(const Json& json, TemplateParts& parts) {
    const auto type = string_member(json, "type", "the post-processor");
    if (!type) return type.error();
    if (*type == "ByteLevel") return {};  // it adjusts offsets only
    if (*type == "Sequence") {
        const auto processors = array_member(json, "processors", "the post-processor Sequence");
        if (!processors) return processors.error();
        for (const Json processor : *processors) {
            if (Status s = add_post_processor(processor, parts); !s) return s;
        }
        return {};
    }
    auto added = *type == "TemplateProcessing" ? read_template(json)
                 : *type == "BertProcessing" || *type == "RobertaProcessing"
                     ? read_cls_and_sep(json, *type)
                     : Result<TemplateParts>(not_supported(
                           "post-processor", *type,
                           "Sequence, TemplateProcessing, ByteLevel, BertProcessing, RobertaProcessing"));
    if (!added) return added.error();
    wrap(parts, *added);
    return {};
}

}  // namespace

Result<TemplateParts> read_post_processor(const std::optional<Json>& json) {
    TemplateParts parts;
    if (!json) return parts;
    if (Status s = add_post_processor(*json, parts); !s) return s.error();
    return parts;
}

}  // namespace troupe::tokenizer_json
