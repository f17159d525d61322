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
    OutputTexts texts;  // all that wait
    std::optional<FinishedEvent> finished;
};

class EventReader : public GenerationSink {
  public:
    // `wake` is called from actor threads when something waits after nothing did; it must only schedule a
    // take(). What waits is counted in `unread`, if there is one.
    explicit EventReader(std::function<void()> wake, std::shared_ptr<UnreadBytes> unread = {})
        : wake_(std::move(wake)), unread_(std::move(unread)) {}
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
        auto& texts = pending_.texts;
        texts.text += event.text;
        texts.logprobs.insert(texts.logprobs.end(), event.logprobs.begin(), event.logprobs.end());
        texts.marks.push_back({static_cast<std::uint32_t>(texts.text.size()), event.completion_tokens,
                               static_cast<std::uint32_t>(texts.logprobs.size())});
    }

    const std::function<void()> wake_;
    const std::shared_ptr<UnreadBytes> unread_;
    std::mutex mutex_;
    PendingEvents pending_;
    std::size_t bytes_ = 0;  // of its texts
    bool waiting_ = false;
    bool end_is_near_ = false;  // the last text is here, the end is not
};

}  // namespace troupe::net
