#include "net/request_fields.hpp"

#include <charconv>

#include "net/utf8.hpp"

namespace troupe::net {
namespace {

constexpr std::size_t kMaxStops = 16, kMaxStopBytes = 1024, kMaxStopTokenIds = 128;
constexpr std::size_t kMaxLogitBias = 1024;
constexpr std::size_t kMaxBreakers = 16, kMaxBreakerBytes = 32;
constexpr std::size_t kMaxLabel = 512;  // bytes of a "user" or a message's "name"
constexpr std::size_t kMaxEchoed = 60;  // bytes of a value that an error repeats
constexpr std::size_t kMaxMetadata = 16, kMaxMetadataKey = 64, kMaxMetadataValue = 512;
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

Status read_breakers(std::optional<std::vector<std::string>>& breakers, const FieldValue& value) {
    const std::string allowed = "a list of up to " + std::to_string(kMaxBreakers) + " strings of 1 to " +
                                std::to_string(kMaxBreakerBytes) + " bytes";
    breakers.emplace();
    if (!value.json.is_array()) return wrong_value(value, allowed);
    return for_each_element(value, [&](const FieldValue& element) -> Status {
        auto text = read_string(element);
        if (!text || text->empty() || text->size() > kMaxBreakerBytes || breakers->size() == kMaxBreakers)
            return wrong_value(element, allowed);
        breakers->push_back(*std::move(text));
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

namespace {

// Millions of ids at once are possible, and other connections wait meanwhile: no path is made for each.
bool read_plain_token_ids(std::vector<TokenId>& ids, const Json& json) {
    simdjson::dom::array list;
    if (json.get(list) != simdjson::SUCCESS) return false;
    for (const Json element : list) {
        std::int64_t id = 0;
        if (element.get(id) != simdjson::SUCCESS || id < 0 || id > std::numeric_limits<TokenId>::max())
            return false;
        ids.push_back(static_cast<TokenId>(id));
    }
    return true;
}

}  // namespace

Result<std::vector<TokenId>> read_token_ids(const FieldValue& value) {
    std::vector<TokenId> ids;
    if (read_plain_token_ids(ids, value.json)) return ids;
    ids.clear();
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

Status check_label(const FieldValue& value) {
    std::optional<std::string> unused;
    return read_label(unused, value);
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
        if (name == "continuous_usage_stats" && !member.json.is_null())
            return assign(request.continuous_usage, read_bool(member));
        return {};
    });
}

Status check_common(const CommonRequest& request) {
    if (request.stream_options && !request.stream) {
        return invalid_argument("stream_options is only allowed when stream is true", "stream_options");
    }
    if (request.stream && request.sampling.prompt_logprobs) {
        return invalid_argument("prompt_logprobs is not available when stream is true", "prompt_logprobs");
    }
    return {};
}

}  // namespace troupe::net
