// Rows of the field tables that several endpoints share, and readers of the values that need more than one
// line.
#pragma once
#include <limits>

#include "net/requests.hpp"

namespace troupe::net {

Status read_float(std::optional<float>& target, const FieldValue& value, double min, double max);
Status read_top_p(std::optional<float>& target, const FieldValue& value);         // 0 is not allowed
Status read_top_k(std::optional<std::int32_t>& target, const FieldValue& value);  // -1 is 0: keep all
Status read_stop(RequestedSampling& sampling, const FieldValue& value);
Status read_stop_token_ids(RequestedSampling& sampling, const FieldValue& value);
Status read_label(std::optional<std::string>& target, const FieldValue& value);  // a short string: "user"
Status read_metadata(std::map<std::string, std::string>& metadata, const FieldValue& value);
Status read_stream_options(CommonRequest& request, const FieldValue& value);
Result<std::vector<TokenId>> read_token_ids(const FieldValue& value);

// Messages of chat ("text" parts) and input items of responses ("input_text" and "output_text" parts too).
enum class MessageStyle : std::uint8_t { chat, responses };
Status read_messages(std::vector<Message>& messages, const FieldValue& value, MessageStyle style);

// Checks that no single field can make.
Status check_common(const CommonRequest& request);

inline constexpr std::int64_t kMaxUint32 = std::numeric_limits<std::uint32_t>::max();

template <class Request>
std::vector<Field<Request>> common_fields() {
    using R = Request;
    using V = FieldValue;
    return {
        {"model", [](R& r, const V& v) { return assign(r.model, read_string(v)); }},
        {"stream", [](R& r, const V& v) { return assign(r.stream, read_bool(v)); }},
        {"stream_options", [](R& r, const V& v) { return read_stream_options(r, v); }},
        {"temperature", [](R& r, const V& v) { return read_float(r.sampling.temperature, v, 0, 2); }},
        {"top_p", [](R& r, const V& v) { return read_top_p(r.sampling.top_p, v); }},
        {"min_p", [](R& r, const V& v) { return read_float(r.sampling.min_p, v, 0, 1); }},
        {"top_k", [](R& r, const V& v) { return read_top_k(r.sampling.top_k, v); }},
        {"seed",
         [](R& r, const V& v) {
             using Limits = std::numeric_limits<std::int64_t>;
             return read_integer_into(r.sampling.seed, v, Limits::min(), Limits::max());
         }},
        {"stop", [](R& r, const V& v) { return read_stop(r.sampling, v); }},
        {"stop_token_ids", [](R& r, const V& v) { return read_stop_token_ids(r.sampling, v); }},
        {"ignore_eos", [](R& r, const V& v) { return assign(r.sampling.ignore_eos, read_bool(v)); }},
        {"priority",
         [](R& r, const V& v) {
             using Limits = std::numeric_limits<std::int32_t>;
             return read_integer_into(r.priority, v, Limits::min(), Limits::max());
         }},
        {"deadline_ms", [](R& r, const V& v) { return read_integer_into(r.deadline_ms, v, 1, kMaxUint32); }},
        {"metadata", [](R& r, const V& v) { return read_metadata(r.metadata, v); }},
        {"store", [](R& r, const V& v) { return assign(r.store, read_bool(v)); }},
    };
}

}  // namespace troupe::net
