// Rows of the field tables that several endpoints share, and readers of the values that need more than one
// line.
#pragma once
#include <limits>

#include "net/requests.hpp"

namespace troupe::net {

Status read_float(std::optional<float>& target, const FieldValue& value, double min, double max);
Status read_share(std::optional<float>& target, const FieldValue& value);         // above 0, up to 1
Status read_top_k(std::optional<std::int32_t>& target, const FieldValue& value);  // -1 is 0: keep all
Status read_logit_bias(std::vector<LogitBias>& target, const FieldValue& value);  // {"token id": bias}
Status read_breakers(std::optional<std::vector<std::string>>& breakers, const FieldValue& value);
Status read_stop(RequestedSampling& sampling, const FieldValue& value);
Status read_stop_token_ids(RequestedSampling& sampling, const FieldValue& value);
Status read_label(std::optional<std::string>& target, const FieldValue& value);  // a short string: "user"
Status check_label(const FieldValue& value);
Status read_metadata(std::map<std::string, std::string>& metadata, const FieldValue& value);
Status read_stream_options(CommonRequest& request, const FieldValue& value);
Result<std::vector<TokenId>> read_token_ids(const FieldValue& value);

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
        {"top_p", [](R& r, const V& v) { return read_share(r.sampling.top_p, v); }},
        {"min_p", [](R& r, const V& v) { return read_float(r.sampling.min_p, v, 0, 1); }},
        {"typical_p", [](R& r, const V& v) { return read_share(r.sampling.typical_p, v); }},
        {"xtc_probability", [](R& r, const V& v) { return read_float(r.sampling.xtc_probability, v, 0, 1); }},
        {"xtc_threshold", [](R& r, const V& v) { return read_float(r.sampling.xtc_threshold, v, 0, 1); }},
        {"repetition_penalty",
         [](R& r, const V& v) { return read_float(r.sampling.repetition_penalty, v, 0.01, 100); }},
        {"presence_penalty",
         [](R& r, const V& v) { return read_float(r.sampling.presence_penalty, v, -2, 2); }},
        {"frequency_penalty",
         [](R& r, const V& v) { return read_float(r.sampling.frequency_penalty, v, -2, 2); }},
        {"dry_multiplier",
         [](R& r, const V& v) { return assign(r.sampling.dry.multiplier, read_number(v, 0, 100)); }},
        {"dry_base", [](R& r, const V& v) { return assign(r.sampling.dry.base, read_number(v, 1, 100)); }},
        {"dry_allowed_length",
         [](R& r, const V& v) { return read_integer_into(r.sampling.dry.allowed_length, v, 1, kMaxUint32); }},
        {"dry_penalty_last_n",
         [](R& r, const V& v) {
             return read_integer_into(r.sampling.dry.last_n, v, -1, std::numeric_limits<std::int32_t>::max());
         }},
        {"dry_sequence_breakers", [](R& r, const V& v) { return read_breakers(r.sampling.dry.breakers, v); }},
        {"logit_bias", [](R& r, const V& v) { return read_logit_bias(r.sampling.logit_bias, v); }},
        {"min_tokens",
         [](R& r, const V& v) { return read_integer_into(r.sampling.min_tokens, v, 0, kMaxUint32); }},
        {"include_stop_str_in_output",
         [](R& r, const V& v) { return assign(r.sampling.include_stop, read_bool(v)); }},
        {"skip_special_tokens",
         [](R& r, const V& v) { return assign(r.sampling.skip_special, read_bool(v)); }},
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
        {"cache_salt", [](R& r, const V& v) { return read_label(r.cache_salt, v); }},
        {"ttft_target_ms",
         [](R& r, const V& v) { return read_integer_into(r.ttft_target_ms, v, 0, kMaxUint32); }},
        {"tpot_target_ms",
         [](R& r, const V& v) { return read_integer_into(r.tpot_target_ms, v, 0, kMaxUint32); }},
        {"metadata", [](R& r, const V& v) { return read_metadata(r.metadata, v); }},
        {"user", [](R& r, const V& v) { return read_label(r.user, v); }},
        // Without effect here, but what is no string is a mistake.
        {"prompt_cache_key", [](R&, const V& v) { return check_label(v); }},
        {"prompt_cache_retention", [](R&, const V& v) { return check_label(v); }},
        {"safety_identifier", [](R&, const V& v) { return check_label(v); }},
        {"store", [](R& r, const V& v) { return assign(r.store, read_bool(v)); }},
    };
}

}  // namespace troupe::net
