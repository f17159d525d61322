#include "net/response_output.hpp"

#include <iterator>

namespace troupe::net {
namespace {

using Kind = OutputItem::Kind;
using Progress = OutputItem::Progress;
using Event = OutputEvent::Kind;

std::string id_of(Kind kind, const ResponseRecord& record, std::size_t index) {
    const char* prefix = kind == Kind::reasoning ? "rs_" : kind == Kind::message ? "msg_" : "fc_";
    return prefix + bare_id(record) + std::to_string(index);
}

}  // namespace

void ResponseOutput::push(const OutputTexts& texts) {
    if (!record_.generate) return;
    std::uint32_t begin = 0, logprobs = 0;
    for (const TextMark& mark : texts.marks) {
        logprobs_.insert(logprobs_.end(), texts.logprobs.begin() + logprobs,
                         texts.logprobs.begin() + mark.logprobs);
        const auto text = std::string_view(texts.text).substr(begin, mark.end - begin);
        add(reader_.read(text, mark.completion_tokens));
        begin = mark.end;
        logprobs = mark.logprobs;
    }
}

void ResponseOutput::finish(GenerationStatus status, std::uint32_t tokens) {
    if (!record_.generate) return;
    add(reader_.finish(tokens));
    if (status == GenerationStatus::failed) {  // the failure is the last word, no item has an end
        if (!items_.empty() && items_.back().progress == Progress::in_progress)
            items_.back().progress = Progress::incomplete;
        return;
    }
    const auto end = status == GenerationStatus::completed ? Progress::completed : Progress::incomplete;
    if (!speaks()) {  // an answer is a message, if an empty one
        close(end);
        open(Kind::message);
    }
    close(end);
}

void ResponseOutput::add(const AnswerParts& parts) {
    if (!parts.reasoning.empty()) {
        open(Kind::reasoning);
        say(parts.reasoning, {});
    }
    if (!parts.content.empty()) {
        if (open(Kind::message)) keep_logprobs_of(parts.content);
        say(parts.content, std::exchange(logprobs_, {}));
    } else if (!parts.empty()) {
        logprobs_.clear();
    }
    for (const ToolCall& one : parts.calls) call(one);
}

bool ResponseOutput::open(Kind kind) {
    const bool open_already = !items_.empty() && items_.back().progress == Progress::in_progress;
    if (open_already && items_.back().kind == kind) return false;
    close(Progress::completed);
    items_.push_back({kind, Progress::in_progress, id_of(kind, record_, items_.size())});
    emit(Event::item_added);
    if (kind != Kind::call) emit(Event::part_added);
    return true;
}

void ResponseOutput::say(const std::string& text, std::vector<TextLogprobs> logprobs) {
    OutputItem& item = items_.back();
    item.text += text;
    item.logprobs.insert(item.logprobs.end(), logprobs.begin(), logprobs.end());
    emit(Event::delta, text, std::move(logprobs));
}

void ResponseOutput::call(const ToolCall& call) {
    open(Kind::call);
    items_.back().name = call.name;
    items_.back().call_id = call.id.value_or("");
    say(call.arguments, {});
    close(Progress::completed);
}

void ResponseOutput::close(Progress progress) {
    if (items_.empty() || items_.back().progress != Progress::in_progress) return;
    items_.back().progress = progress;
    emit(Event::text_done);
    if (items_.back().kind != Kind::call) emit(Event::part_done);
    emit(Event::item_done);
}

void ResponseOutput::emit(Event kind, const std::string& delta, std::vector<TextLogprobs> logprobs) {
    const std::int64_t number = next_++;
    if (number <= after_) return;
    const std::size_t item = items_.size() - 1;
    if (kind != Event::delta || events_.empty() || events_.back().kind != Event::delta) {
        events_.push_back({kind, number, item, delta, std::move(logprobs)});
        return;
    }
    OutputEvent& before = events_.back();  // of the same item: others are parted by its end
    before.number = number;
    before.delta += delta;
    before.logprobs.insert(before.logprobs.end(), std::make_move_iterator(logprobs.begin()),
                           std::make_move_iterator(logprobs.end()));
}

// Drops those of tokens before the content, which is the newest text: tags, and what was thought.
void ResponseOutput::keep_logprobs_of(std::string_view content) {
    auto first = logprobs_.end();
    for (std::size_t bytes = 0; first != logprobs_.begin() && bytes < content.size();)
        bytes += (--first)->token.bytes.size();
    logprobs_.erase(logprobs_.begin(), first);
}

}  // namespace troupe::net
