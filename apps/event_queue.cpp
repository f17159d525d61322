#include "apps/event_queue.hpp"

namespace troupe {

void EventQueue::deliver(const GenerationEvent& event) {
    {
        const std::lock_guard lock(mutex_);
        events_.push_back(event);
    }
    arrived_.notify_one();
}

std::optional<GenerationEvent> EventQueue::next(std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    if (!arrived_.wait_for(lock, patience, [&] { return !events_.empty(); })) return std::nullopt;
    GenerationEvent event = std::move(events_.front());
    events_.pop_front();
    return event;
}

}  // namespace troupe
