// Takes a generation's events from the actors' threads and holds them until the connection can send them.
// Texts that wait are put together, so a slow reader costs one string, however long it sleeps. A text that
// says it is the last waits for the end, so that both go out in one event.
#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "actors/client_port.hpp"
#include "net/unread_bytes.hpp"

namespace troupe::net {

struct PendingEvents {
    std::optional<StartedEvent> started;
    std::optional<PromptEvent> prompt;
    std::string skipped;            // texts before the first wanted one
    std::optional<TextEvent> text;  // all waiting texts in one: index and counts are the last one's
    std::optional<FinishedEvent> finished;
};

class EventReader : public GenerationSink {
  public:
    // `wake` is called from actor threads when something waits after nothing did; it must only schedule a
    // take(). Texts with an index below `first` are set apart: their reader has had them. What waits is
    // counted in `unread`, if there is one.
    explicit EventReader(std::function<void()> wake, std::uint64_t first = 0,
                         std::shared_ptr<UnreadBytes> unread = {})
        : wake_(std::move(wake)), first_(first), unread_(std::move(unread)) {}
    ~EventReader() override {
        if (unread_) unread_->remove(bytes_);
    }

    void deliver(const GenerationEvent& event) override {
        {
            const std::lock_guard lock(mutex_);
            std::visit([this](const auto& e) { add(e); }, event);
            if (waiting_ || end_is_near_) return;
            waiting_ = true;
        }
        wake_();
    }

    PendingEvents take() {
        const std::lock_guard lock(mutex_);
        waiting_ = false;
        if (end_is_near_) return {};
        if (unread_) unread_->remove(std::exchange(bytes_, 0));
        return std::exchange(pending_, {});
    }

  private:
    void add(const StartedEvent& event) { pending_.started = event; }
    void add(const PromptEvent& event) { pending_.prompt = event; }
    void add(const FinishedEvent& event) {
        pending_.finished = event;
        end_is_near_ = false;
    }
    void add(const TextEvent& event) {
        end_is_near_ = event.last;
        bytes_ += event.text.size();
        if (unread_) unread_->add(event.text.size());
        if (event.index < first_) {
            pending_.skipped += event.text;
        } else if (!pending_.text) {
            pending_.text = event;
        } else {
            pending_.text->text += event.text;
            pending_.text->logprobs.insert(pending_.text->logprobs.end(), event.logprobs.begin(),
                                           event.logprobs.end());
            pending_.text->index = event.index;
            pending_.text->completion_tokens = event.completion_tokens;
        }
    }

    const std::function<void()> wake_;
    const std::uint64_t first_;
    const std::shared_ptr<UnreadBytes> unread_;
    std::mutex mutex_;
    PendingEvents pending_;
    std::size_t bytes_ = 0;  // of its texts
    bool waiting_ = false;
    bool end_is_near_ = false;  // the last text is here, the end is not
};

}  // namespace troupe::net
