#include "actors/output_text.hpp"

#include <algorithm>

namespace troupe {

OutputText::OutputText(std::shared_ptr<const Tokenizer> tokenizer, std::vector<TokenId> hidden,
                       std::vector<std::string> stops)
    : detokenizer_(std::move(tokenizer), {.skip_special = true, .begins_text = false}),
      hidden_(std::move(hidden)),
      stops_(std::move(stops)) {}

bool OutputText::push(TokenId id) {
    ++num_tokens_;
    if (std::find(hidden_.begin(), hidden_.end(), id) != hidden_.end()) return false;
    auto step = stops_.push(detokenizer_.push(id));
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
