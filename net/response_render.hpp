// Response objects and the events of a response's stream, as OpenAI's Responses API writes them.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "net/response_record.hpp"

namespace troupe::net {

// Sequence numbers of a response's events, a pure function of the index of the text that they carry:
// created 0, in_progress 1, output_item.added 2, content_part.added 3, text i: 4 + i, and behind n texts
// output_text.done 4 + n, content_part.done 5 + n, output_item.done 6 + n, completed | incomplete 7 + n.
// A failed response has no done events: response.failed is 4 + n. One with generate: false has no output:
// whatever ends it is 2.
inline constexpr std::int64_t kCreatedNumber = 0, kInProgressNumber = 1, kItemNumber = 2, kPartNumber = 3;
inline constexpr std::int64_t kFirstTextNumber = 4;

struct ResponseState {
    GenerationStatus status = GenerationStatus::in_progress;
    std::string text;
    std::optional<Usage> usage;
    std::optional<FinishReason> reason;
    std::optional<Error> error;
};

// Of a response with generate: false: its one token counts for nothing.
void hide_output(ResponseState& state);

ResponseState state_of(const GenerationSnapshot& snapshot);
ResponseState state_of(const FinishedEvent& finished, std::string text);

std::string response_object(const ResponseRecord& record, const ResponseState& state);

// One event's JSON. `lane` is the WebSocket stream_id, absent in SSE.
class ResponseEvents {
  public:
    ResponseEvents(const ResponseRecord& record, std::optional<std::string> lane)
        : record_(record), lane_(std::move(lane)) {}

    std::string created() const;
    std::string in_progress() const;
    std::string item_added() const;
    std::string part_added() const;
    std::string text_delta(std::int64_t number, std::string_view delta) const;
    std::string text_done(std::int64_t number, std::string_view text) const;
    std::string part_done(std::int64_t number, std::string_view text) const;
    std::string item_done(std::int64_t number, const ResponseState& state) const;
    std::string ended(std::int64_t number,
                      const ResponseState& state) const;  // completed, incomplete or failed

  private:
    std::string with_response(std::string_view type, std::int64_t number, const ResponseState& state) const;

    const ResponseRecord& record_;
    const std::optional<std::string> lane_;
};

}  // namespace troupe::net
