// A sequence's visible text as an append-only log: one event per token that completes visible text, so that
// event numbers are a pure function of the generated tokens. Detokenizes, holds back half characters and
// what may begin a stop string.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "actors/client_port.hpp"
#include "actors/logprobs_text.hpp"
#include "actors/stop_strings.hpp"
#include "model/tokenizer/tokenizer.hpp"

namespace troupe {

struct OutputTextOptions {
    std::vector<TokenId> hidden;     // end and stop tokens: never shown
    std::vector<std::string> stops;  // stop strings
    bool include_stop = false;       // the stop string stays in the text
    bool skip_special = true;        // special tokens leave no text
    std::uint32_t min_tokens = 0;    // no stop string is looked for in the text of the first ones
};

class OutputText {
  public:
    OutputText(std::shared_ptr<const Tokenizer> tokenizer, OutputTextOptions options);

    // The next generated token, and its logprobs if they are wanted. True: it completed a stop string,
    // nothing may follow.
    bool push(TokenId id, const PositionLogprobs* logprobs = nullptr);
    // The sequence ended at the last token pushed: shows what was held back, unless a stop string ended it.
    void flush();

    // After flush(), when nothing follows: lets go of what only push() needs.
    void shrink();
    std::size_t held_bytes() const;  // of heap memory

    std::uint64_t num_events() const { return ends_.size(); }
    TextEvent event(std::uint64_t index) const;
    // Those that no event has, after flush().
    std::vector<TextLogprobs> remaining_logprobs() const;
    OutputTexts texts() const;  // all of them
    std::uint32_t num_tokens() const { return num_tokens_; }

  private:
    void append(const std::string& piece);
    std::vector<TextLogprobs> logprobs_between(std::size_t first, std::size_t last) const;

    // Of a token: where its text begins.
    struct Logprobs {
        PositionLogprobs values;
        std::size_t begin = 0;     // bytes
        std::uint32_t offset = 0;  // characters
    };

    std::shared_ptr<const Tokenizer> tokenizer_;
    StreamingDetokenizer detokenizer_;
    OutputTextOptions options_;
    StopStrings stops_;
    std::string text_;
    std::vector<TextMark>
        ends_;  // of the events in text_: one for almost every token, kept as long as the text
    std::vector<Logprobs> logprobs_;
    std::size_t num_bytes_ = 0;    // of text, what is held back included
    std::uint32_t num_chars_ = 0;  // the same in characters
    std::uint32_t num_tokens_ = 0;
    bool stopped_ = false;
};

}  // namespace troupe
