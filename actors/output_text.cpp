#include "actors/output_text.hpp"

#include <algorithm>

namespace troupe {

OutputText::OutputText(std::shared_ptr<const Tokenizer> tokenizer, OutputTextOptions options)
    : detokenizer_(std::move(tokenizer), {.skip_special = options.skip_special, .begins_text = false}),
      options_(std::move(options)),
      stops_(options_.stops, options_.include_stop) {}

bool OutputText::push(TokenId id) {
    ++num_tokens_;
    const auto& hidden = options_.hidden;
    if (std::find(hidden.begin(), hidden.end(), id) != hidden.end()) return false;
    const std::string piece = detokenizer_.push(id);
    if (num_tokens_ <= options_.min_tokens) {
        append(piece);
        return false;
    }
    auto step = stops_.push(piece);
    append(step.text);
    stopped_ = step.stopped;
    return stopped_;
}

void OutputText::flush() {
    if (stopped_) return;
    auto step = stops_.push(detokenizer_.flush());
    append(step.stopped ? step.text : step.text + stops_.flush());
}

void OutputText::append(const std::string& piece) {
    if (piece.empty()) return;
    text_ += piece;
    ends_.push_back({text_.size(), num_tokens_});
}

TextEvent OutputText::event(std::uint64_t index) const {
    auto begin = index == 0 ? 0 : ends_[index - 1].offset;
    return {index, text_.substr(begin, ends_[index].offset - begin), ends_[index].tokens};
}

}  // namespace troupe
