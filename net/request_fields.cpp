#include "net/request_fields.hpp"

#include <array>
#include <charconv>

#include "net/utf8.hpp"

namespace troupe::net {
namespace {

constexpr std::size_t kMaxStops = 16, kMaxStopBytes = 1024, kMaxStopTokenIds = 128;
constexpr std::size_t kMaxLogitBias = 1024;
constexpr std::size_t kMaxLabel = 512;  // bytes of a "user" or a message's "name"
constexpr std::size_t kMaxEchoed = 60;  // bytes of a value that an error repeats
constexpr std::size_t kMaxMetadata = 16, kMaxMetadataKey = 64, kMaxMetadataValue = 512;
constexpr std::array<std::string_view, 4> kRoles = {"system", "developer", "user", "assistant"};

Error not_supported(const std::string& path, const std::string& what) {
    return invalid_argument(path + ": " + what, path, "unsupported_parameter");
}

bool is_text_part(std::string_view type, MessageStyle style) {
    return type == "text" ||
           (style == MessageStyle::responses && (type == "input_text" || type == "output_text"));
}

Result<std::string> read_part(const FieldValue& part, MessageStyle style) {
    const std::string allowed =
        style == MessageStyle::chat ? "\"text\"" : "\"input_text\" or \"output_text\"";
    std::string type;
    std::optional<std::string> text;
    auto status = for_each_member(part, [&](std::string_view name, const FieldValue& value) -> Status {
        if (name == "type") return assign(type, read_string(value));
        if (name == "text" && !value.json.is_string()) return wrong_value(value, "a string");
        if (name == "text") return assign(text, read_string(value));
        return {};
    });
    if (!status) return status.error();
    if (type.empty())
        return invalid_argument(part.path + ".type is missing; it must be " + allowed, part.path + ".type");
    if (!is_text_part(type, style)) {
        return not_supported(part.path + ".type", "content parts of type \"" + shortened(type, kMaxEchoed) +
                                                      "\" are not supported; allowed is " + allowed);
    }
    if (!text)
        return invalid_argument(part.path + ".text is missing; it must be a string", part.path + ".text");
    return *std::move(text);
}

Result<std::string> read_content(const FieldValue& value, MessageStyle style) {
    if (value.json.is_null()) return std::string();
    if (value.json.is_string()) return read_string(value);
    if (!value.json.is_array()) return wrong_value(value, "a string or a list of text parts");
    std::string content;
    auto status = for_each_element(value, [&](const FieldValue& element) -> Status {
        auto part = read_part(element, style);
        if (!part) return part.error();
        content += *part;
        return {};
    });
    if (!status) return status.error();
    return content;
}

Result<std::string> read_role(const FieldValue& value) {
    auto role = read_string(value);
    if (!role) return role;
    for (const std::string_view known : kRoles) {
        if (*role == known) return role;
    }
    return wrong_value(value, "\"system\", \"developer\", \"user\" or \"assistant\"");
}

Status read_member(Message& message, std::string_view name, const FieldValue& value, MessageStyle style) {
    if (name == "role") return assign(message.role, read_role(value));
    if (name == "content") return assign(message.content, read_content(value, style));
    if (value.json.is_null()) return {};
    if (name == "name") return read_label(message.name, value);
    if (name == "type" && style == MessageStyle::responses) {
        auto type = read_string(value);
        if (!type) return type.error();
        if (*type != "message") {
            return not_supported(value.path, "input items of type \"" + shortened(*type, kMaxEchoed) +
                                                 "\" are not supported; allowed is \"message\"");
        }
        return {};
    }
    if (name == "tool_calls" || name == "tool_call_id" || name == "function_call" || name == "audio") {
        if (value.json.is_array() && simdjson::dom::array(value.json).size() == 0) return {};
        return not_supported(value.path, "is not supported yet: leave it out");
    }
    return {};
}

}  // namespace

Status read_float(std::optional<float>& target, const FieldValue& value, double min, double max) {
    auto number = read_number(value, min, max);
    if (!number) return number.error();
    target = static_cast<float>(*number);
    return {};
}

Status read_share(std::optional<float>& target, const FieldValue& value) {
    auto number = read_number(value, 0, 1);
    if (!number || *number == 0) return wrong_value(value, "a number above 0 and up to 1");
    target = static_cast<float>(*number);
    return {};
}

Status read_top_k(std::optional<std::int32_t>& target, const FieldValue& value) {
    auto status = read_integer_into(target, value, -1, std::numeric_limits<std::int32_t>::max());
    if (status && target == -1) target = 0;
    return status;
}

Status read_logit_bias(std::vector<LogitBias>& target, const FieldValue& value) {
    const std::string allowed = "an object of at most " + std::to_string(kMaxLogitBias) +
                                " members, each a token id with a number between -100 and 100";
    if (!value.json.is_object()) return wrong_value(value, allowed);
    return for_each_member(value, [&](std::string_view name, const FieldValue& member) -> Status {
        LogitBias entry;
        const auto* end = name.data() + name.size();
        const auto parsed = std::from_chars(name.data(), end, entry.token);
        const bool canonical = parsed.ec == std::errc() && parsed.ptr == end &&
                               std::to_string(entry.token) == name;  // or "1" and "01" were the same token
        if (!canonical || entry.token < 0) {
            return invalid_argument(value.path + " holds \"" + shortened(name, kMaxEchoed) +
                                        "\", which is no token id; it must be " + allowed,
                                    value.path);
        }
        const auto bias = read_number(member, -100, 100);
        if (!bias) return bias.error();
        if (target.size() == kMaxLogitBias)
            return invalid_argument(value.path + " must be " + allowed + "; it has more", value.path);
        entry.bias = static_cast<float>(*bias);
        target.push_back(entry);
        return {};
    });
}

Status read_stop(RequestedSampling& sampling, const FieldValue& value) {
    const std::string allowed = "a string or a list of up to " + std::to_string(kMaxStops) +
                                " strings of 1 to " + std::to_string(kMaxStopBytes) + " bytes";
    std::vector<std::string> stops;
    const auto add = [&](const FieldValue& element) -> Status {
        auto text = read_string(element);
        if (!text || text->empty() || text->size() > kMaxStopBytes || stops.size() == kMaxStops) {
            return wrong_value(element, allowed);
        }
        stops.push_back(*std::move(text));
        return {};
    };
    if (!value.json.is_string() && !value.json.is_array()) return wrong_value(value, allowed);
    auto status = value.json.is_string() ? add(value) : for_each_element(value, add);
    if (status) sampling.stop = std::move(stops);
    return status;
}

Result<std::vector<TokenId>> read_token_ids(const FieldValue& value) {
    std::vector<TokenId> ids;
    auto status = for_each_element(value, [&](const FieldValue& element) -> Status {
        auto id = read_integer(element, 0, std::numeric_limits<TokenId>::max());
        if (!id) return id.error();
        ids.push_back(static_cast<TokenId>(*id));
        return {};
    });
    if (!status) return status.error();
    return ids;
}

Status read_stop_token_ids(RequestedSampling& sampling, const FieldValue& value) {
    auto ids = read_token_ids(value);
    if (!ids) return ids.error();
    if (ids->size() > kMaxStopTokenIds) {
        return wrong_value(value, "a list of at most " + std::to_string(kMaxStopTokenIds) + " token ids");
    }
    sampling.stop_token_ids = *std::move(ids);
    return {};
}

Status read_label(std::optional<std::string>& target, const FieldValue& value) {
    auto text = read_string(value);
    if (!text) return text.error();
    if (text->size() > kMaxLabel) {
        return wrong_value(value, "a string of at most " + std::to_string(kMaxLabel) + " bytes");
    }
    target = *std::move(text);
    return {};
}

Status read_metadata(std::map<std::string, std::string>& metadata, const FieldValue& value) {
    const std::string allowed = "an object of at most " + std::to_string(kMaxMetadata) +
                                " strings (keys up to " + std::to_string(kMaxMetadataKey) +
                                " bytes, values up to " + std::to_string(kMaxMetadataValue) + ")";
    if (!value.json.is_object()) return wrong_value(value, allowed);
    return for_each_member(value, [&](std::string_view name, const FieldValue& member) -> Status {
        auto text = read_string(member);
        if (!text || name.size() > kMaxMetadataKey || text->size() > kMaxMetadataValue ||
            metadata.size() == kMaxMetadata) {
            return wrong_value(value, allowed);
        }
        metadata.emplace(name, *std::move(text));
        return {};
    });
}

Status read_stream_options(CommonRequest& request, const FieldValue& value) {
    request.stream_options = true;
    return for_each_member(value, [&](std::string_view name, const FieldValue& member) -> Status {
        if (name == "include_usage" && !member.json.is_null())
            return assign(request.include_usage, read_bool(member));
        return {};
    });
}

Status read_messages(std::vector<Message>& messages, const FieldValue& value, MessageStyle style) {
    if (!value.json.is_array()) return wrong_value(value, "a list of messages");
    return for_each_element(value, [&](const FieldValue& element) -> Status {
        Message message;
        if (!element.json.is_object()) return wrong_value(element, "a message object with role and content");
        bool content_given = false;
        auto status = for_each_member(element, [&](std::string_view name, const FieldValue& member) {
            content_given = content_given || (name == "content" && !member.json.is_null());
            return read_member(message, name, member, style);
        });
        if (!status) return status;
        if (message.role.empty()) {
            const std::string path = element.path + ".role";
            return invalid_argument(
                path + " is missing; it must be \"system\", \"developer\", \"user\" or \"assistant\"", path);
        }
        if (!content_given && message.role != "assistant") {
            const std::string path = element.path + ".content";
            return invalid_argument(path + " is missing; it must be a string or a list of text parts", path);
        }
        messages.push_back(std::move(message));
        return {};
    });
}

Status check_common(const CommonRequest& request) {
    if (request.stream_options && !request.stream) {
        return invalid_argument("stream_options is only allowed when stream is true", "stream_options");
    }
    return {};
}

}  // namespace troupe::net
