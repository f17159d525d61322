// Response objects and the events of a response's stream, as OpenAI's Responses API writes them.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "net/response_output.hpp"

namespace troupe::net {

struct ResponseState {
    GenerationStatus status = GenerationStatus::in_progress;
    std::vector<OutputItem> output = {};
    std::optional<Usage> usage = {};
    std::optional<FinishReason> reason = {};
    std::optional<Error> error = {};
};

// Of one that has ended so, its output too.
ResponseState end_state(const ResponseRecord& record, FinishReason reason, Usage usage,
                        std::optional<Error> error, const ResponseOutput& output);

std::string response_object(const ResponseRecord& record, const ResponseState& state);

// One event's JSON. `lane` is the WebSocket stream_id, absent in SSE.
class ResponseEvents {
  public:
    ResponseEvents(const ResponseRecord& record, std::optional<std::string> lane)
        : record_(record), lane_(std::move(lane)) {}

    std::string created() const;
    std::string in_progress() const;
    std::string of_item(const OutputEvent& event, const OutputItem& item) const;
    std::string ended(std::int64_t number,
                      const ResponseState& state) const;  // completed, incomplete or failed

  private:
    std::string with_response(std::string_view type, std::int64_t number, const ResponseState& state) const;

    const ResponseRecord& record_;
    const std::optional<std::string> lane_;
};

}  // namespace troupe::net
