#include "actors/output_text.hpp"

#include <algorithm>

#include "actors/held_bytes.hpp"

namespace troupe {

OutputText::OutputText(std::shared_ptr<const Tokenizer> tokenizer, OutputTextOptions options)
    : tokenizer_(tokenizer),
      detokenizer_(std::move(tokenizer), {.skip_special = options.skip_special, .begins_text = false}),
      options_(std::move(options)),
      stops_(options_.stops, options_.include_stop) {}

bool OutputText::push(TokenId id, const PositionLogprobs* logprobs) {
    ++num_tokens_;
    if (logprobs != nullptr) logprobs_.push_back({*logprobs, num_bytes_, num_chars_});
    const auto& hidden = options_.hidden;
    if (std::find(hidden.begin(), hidden.end(), id) != hidden.end()) return false;
    const std::string piece = detokenizer_.push(id);
    num_bytes_ += piece.size();
    num_chars_ += count_characters(piece);
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

void OutputText::shrink() {
    options_ = {};
    stops_ = StopStrings(std::vector<std::string>());
    text_.shrink_to_fit();
    ends_.shrink_to_fit();
    logprobs_.shrink_to_fit();
}

std::size_t OutputText::held_bytes() const {
    auto bytes = troupe::held_bytes(text_) + troupe::held_bytes(ends_) + troupe::held_bytes(logprobs_);
    for (const auto& one : logprobs_) bytes += troupe::held_bytes(one.values.top);
    return bytes;
}

void OutputText::append(const std::string& piece) {
    if (piece.empty()) return;
    text_ += piece;
    auto shown = ends_.empty() ? 0U : ends_.back().logprobs;
    while (shown < logprobs_.size() && logprobs_[shown].begin < text_.size()) ++shown;
    ends_.push_back({static_cast<std::uint32_t>(text_.size()), num_tokens_, shown});
}

TextEvent OutputText::event(std::uint64_t index) const {
    const TextMark before = index == 0 ? TextMark{} : ends_[index - 1];
    const TextMark& end = ends_[index];
    return {index, text_.substr(before.end, end.end - before.end), end.completion_tokens, false,
            logprobs_between(before.logprobs, end.logprobs)};
}

OutputTexts OutputText::texts() const {
    return {text_, ends_, logprobs_between(0, ends_.empty() ? 0 : ends_.back().logprobs)};
}

std::vector<TextLogprobs> OutputText::remaining_logprobs() const {
    if (stopped_) return {};
    return logprobs_between(ends_.empty() ? 0 : ends_.back().logprobs, logprobs_.size());
}

std::vector<TextLogprobs> OutputText::logprobs_between(std::size_t first, std::size_t last) const {
    std::vector<TextLogprobs> entries;
    for (std::size_t i = first; i < last; ++i)
        entries.push_back(as_text(*tokenizer_, logprobs_[i].values, logprobs_[i].offset));
    return entries;
}

}  // namespace troupe
