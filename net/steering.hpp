// response.steer: input that a client queues into a running response, and the events that answer it.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/requests.hpp"

namespace troupe::net {

struct Steer {
    std::string id;                  // "steer_...", empty until it is accepted
    std::string response_id;         // of the response that it steers
    std::vector<Message> input;      // user messages
    std::string raw_input = "null";  // as it came: what cannot be committed is given back
};

// The closed list of OpenAI's API, of which these can happen here.
enum class SteerError : std::uint8_t {
    response_not_found,          // not on this connection
    invalid_input,               //
    steering_not_supported,      // generate: false
    too_many_pending,            //
    response_already_completed,  //
    response_not_active,         // it failed, was cancelled, or is read by another connection now
    successor_creation_failed,
};

struct SteerMessage {
    Steer steer;                   // whatever could be read
    std::optional<Error> refusal;  // why it is not valid
};
SteerMessage parse_steer(const Json& message);

// Events. `number` is that of the last event that the response's stream has sent, so that a reader that
// resumes behind the last number it saw loses and repeats nothing.
std::string steer_accepted(const Steer& steer, std::int64_t number, const std::optional<std::string>& lane);
std::string steer_failed(const Steer& steer, SteerError code, std::string_view why, std::int64_t number,
                         const std::optional<std::string>& lane);

}  // namespace troupe::net
