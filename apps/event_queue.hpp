// The reader of a generation inside this process: events come from the actors' threads and are taken by one
// other.
#pragma once
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>

#include "actors/client_port.hpp"

namespace troupe {

class EventQueue final : public GenerationSink {
  public:
    void deliver(const GenerationEvent& event) override;
    // The next event; empty if none came in that time.
    std::optional<GenerationEvent> next(std::chrono::milliseconds patience);

  private:
    std::mutex mutex_;
    std::condition_variable arrived_;
    std::deque<GenerationEvent> events_;
};

}  // namespace troupe
