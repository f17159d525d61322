#include "net/reasoning.hpp"

#include <algorithm>

namespace troupe::net {
namespace {

constexpr std::string_view kOpen = "<think>", kClose = "</think>", kSpace = " \t\r\n";

void trim_left(std::string& text) { text.erase(0, std::min(text.find_first_not_of(kSpace), text.size())); }
void trim_right(std::string& text) { text.resize(text.find_last_not_of(kSpace) + 1); }

// The bytes at the end of the text that may begin the tag.
std::size_t possible_tag(std::string_view text, std::string_view tag) {
    for (std::size_t size = std::min(text.size(), tag.size() - 1); size > 0; --size)
        if (tag.starts_with(text.substr(text.size() - size))) return size;
    return 0;
}

}  // namespace

ReasoningSplitter::ReasoningSplitter(Thinking start)
    : state_(start == Thinking::none      ? State::content
             : start == Thinking::outside ? State::opening
                                          : State::reasoning_begins) {}

ReasoningSplitter::Parts ReasoningSplitter::push(std::string_view text) {
    Parts parts;
    held_ += text;
    while (step(parts)) {
    }
    return parts;
}

bool ReasoningSplitter::step(Parts& parts) {
    switch (state_) {
        case State::opening:
            return step_opening();
        case State::reasoning_begins:  // some models repeat the tag that the prompt has opened
            trim_left(held_);
            if (held_.size() < kOpen.size() && kOpen.starts_with(held_)) return false;
            if (held_.starts_with(kOpen)) held_.erase(0, kOpen.size());
            trim_left(held_);
            if (!held_.empty()) state_ = State::reasoning;
            return !held_.empty();
        case State::reasoning:
            return step_reasoning(parts);
        case State::content_begins:
            trim_left(held_);
            if (!held_.empty()) state_ = State::content;
            return !held_.empty();
        case State::content:
            parts.content += std::exchange(held_, {});
            return false;
    }
    return false;
}

bool ReasoningSplitter::step_opening() {
    const std::size_t begin = std::min(held_.find_first_not_of(kSpace), held_.size());
    const std::string_view rest = std::string_view(held_).substr(begin);
    if (rest.size() < kOpen.size() && kOpen.starts_with(rest)) return false;
    state_ = rest.starts_with(kOpen) ? State::reasoning_begins : State::content;
    return true;
}

bool ReasoningSplitter::step_reasoning(Parts& parts) {
    const std::size_t close = held_.find(kClose);
    if (close != std::string::npos) {
        std::string reasoning = held_.substr(0, close);
        trim_right(reasoning);
        parts.reasoning += reasoning;
        held_.erase(0, close + kClose.size());
        state_ = State::content_begins;
        return true;
    }
    std::string shown = held_.substr(0, held_.size() - possible_tag(held_, kClose));
    trim_right(shown);
    held_.erase(0, shown.size());
    parts.reasoning += shown;
    return false;
}

ReasoningSplitter::Parts ReasoningSplitter::finish() {
    Parts parts;
    const bool thinking = thinks();
    if (thinking) trim_right(held_);
    if (state_ != State::content_begins) (thinking ? parts.reasoning : parts.content) = held_;
    held_.clear();
    return parts;
}

ReasoningSplitter::Parts split_reasoning(std::string_view text, Thinking start) {
    ReasoningSplitter splitter(start);
    auto parts = splitter.push(text);
    auto rest = splitter.finish();
    return {parts.reasoning + rest.reasoning, parts.content + rest.content};
}

}  // namespace troupe::net
