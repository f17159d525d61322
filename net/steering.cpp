#include "net/steering.hpp"

#include "net/messages.hpp"

namespace troupe::net {
namespace {

std::string_view code_name(SteerError code) {
    switch (code) {
        case SteerError::response_not_found:
            return "response_not_found";
        case SteerError::invalid_input:
            return "invalid_input";
        case SteerError::steering_not_supported:
            return "steering_not_supported";
        case SteerError::too_many_pending:
            return "too_many_pending_steers";
        case SteerError::response_already_completed:
            return "response_already_completed";
        case SteerError::response_not_active:
            return "response_not_active";
        case SteerError::successor_creation_failed:
            break;
    }
    return "successor_creation_failed";
}

Status read_steer_input(std::vector<Message>& input, const FieldValue& value) {
    if (auto status = read_input_items(input, value); !status) return status;
    if (input.empty()) return wrong_value(value, "a string or a list of at least one user message");
    for (std::size_t i = 0; i < input.size(); ++i) {
        if (input[i].role == "user") continue;
        const std::string path = value.path + "[" + std::to_string(i) + "].role";
        return invalid_argument(path + " must be \"user\": only user messages can steer a response", path);
    }
    return {};
}

Status read_steer(Steer& steer, const Json& message) {
    bool input_given = false;
    auto status =
        for_each_member({message, ""}, [&](std::string_view name, const FieldValue& value) -> Status {
            if (name == "type" || name == "event_id") return {};
            if (name == "previous_response_id") return assign(steer.response_id, read_string(value));
            if (name == "input") {
                input_given = true;
                steer.raw_input = simdjson::minify(value.json);
                return read_steer_input(steer.input, value);
            }
            return invalid_argument(
                shortened(name, 60) +
                    " is not a field of response.steer, which has type, previous_response_id "
                    "and input",
                std::string(name));
        });
    if (!status) return status;
    if (steer.response_id.empty()) {
        return invalid_argument("previous_response_id is missing; it names the response to steer",
                                "previous_response_id");
    }
    if (!input_given) return invalid_argument("input is missing; it holds what steers the response", "input");
    return {};
}

JsonWriter event(std::string_view type, std::int64_t number, const std::optional<std::string>& lane) {
    JsonWriter out;
    out.begin_object().field("type", type).field("sequence_number", number);
    if (lane) out.field("stream_id", *lane);
    return out;
}

}  // namespace

SteerMessage parse_steer(const Json& message) {
    SteerMessage result;
    if (auto status = read_steer(result.steer, message); !status) result.refusal = status.error();
    return result;
}

std::string steer_accepted(const Steer& steer, std::int64_t number, const std::optional<std::string>& lane) {
    JsonWriter out = event("response.steer.accepted", number, lane);
    out.key("steer").begin_object().field("id", steer.id).field("previous_response_id", steer.response_id);
    return out.end_object().end_object().take();
}

std::string steer_failed(const Steer& steer, SteerError code, std::string_view why, std::int64_t number,
                         const std::optional<std::string>& lane) {
    JsonWriter out = event("response.steer.failed", number, lane);
    out.key("steer").begin_object();
    if (!steer.id.empty()) out.field("id", steer.id);
    out.field("previous_response_id", steer.response_id).key("input").raw(steer.raw_input).end_object();
    out.key("error").begin_object().field("type", "invalid_request_error").field("code", code_name(code));
    return out.field("message", why).end_object().end_object().take();
}

}  // namespace troupe::net
