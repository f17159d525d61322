// What a response says, as items of the Responses API: what the model thinks, its messages, the functions
// that it calls, and the events that tell of them. All of it, the sequence numbers too, is a pure function of
// the texts of the generation, one after the other: so events have the same numbers on every connection, and
// whoever fetches or continues the response later sees the same items.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "net/answer_reader.hpp"
#include "net/response_record.hpp"

namespace troupe::net {

// Of the events before the first item; theirs go on from 2 with one each. The event that ends the response
// has the number behind them.
inline constexpr std::int64_t kCreatedNumber = 0, kInProgressNumber = 1, kFirstItemNumber = 2;

struct OutputItem {
    enum class Kind : std::uint8_t { reasoning, message, call };
    enum class Progress : std::uint8_t { in_progress, completed, incomplete };
    Kind kind = Kind::message;
    Progress progress = Progress::in_progress;
    std::string id = {};
    std::string text = {};                    // of a call: its arguments
    std::string name = {}, call_id = {};      // of a call
    std::vector<TextLogprobs> logprobs = {};  // of a message's tokens, if they are wanted
};

struct OutputEvent {
    // An item that is no call has one part of content.
    enum class Kind : std::uint8_t { item_added, part_added, delta, text_done, part_done, item_done };
    Kind kind = Kind::delta;
    std::int64_t number = 0;  // of a delta that holds several: the last one's
    std::size_t item = 0;     // its index
    std::string delta = {};
    std::vector<TextLogprobs> logprobs = {};  // of the delta's tokens
};

class ResponseOutput {
  public:
    // Events up to the number `after` are not made. The record must outlive it.
    ResponseOutput(const ResponseRecord& record, std::int64_t after)
        : record_(record), after_(after), reader_(answer_reader(record, Thinking::none)) {}

    void start(Thinking thinking) { reader_ = answer_reader(record_, thinking); }  // before the first text
    void push(const OutputTexts& texts);
    // The generation has ended so, after that many tokens.
    void finish(GenerationStatus status, std::uint32_t tokens);

    const std::vector<OutputItem>& items() const { return items_; }
    // Those since the last call. Deltas of one item that follow one another are one.
    std::vector<OutputEvent> take_events() { return std::exchange(events_, {}); }
    // Of the next event.
    std::int64_t next_number() const { return next_; }
    // Whether it has said something beyond what it thinks.
    bool speaks() const { return !items_.empty() && items_.back().kind != OutputItem::Kind::reasoning; }
    std::uint32_t reasoning_tokens() const { return reader_.reasoning_tokens(); }

  private:
    void add(const AnswerParts& parts);
    bool open(OutputItem::Kind kind);  // whether it had to
    void say(const std::string& text, std::vector<TextLogprobs> logprobs);
    void call(const ToolCall& call);
    void close(OutputItem::Progress progress);
    void emit(OutputEvent::Kind kind, const std::string& delta = {}, std::vector<TextLogprobs> logprobs = {});
    void keep_logprobs_of(std::string_view content);

    const ResponseRecord& record_;
    const std::int64_t after_;
    AnswerReader reader_;
    std::vector<OutputItem> items_;
    std::vector<OutputEvent> events_;
    std::vector<TextLogprobs> logprobs_;  // of tokens whose text is held back
    std::int64_t next_ = kFirstItemNumber;
};

}  // namespace troupe::net
