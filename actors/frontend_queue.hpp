// What waits for a frontend's thread: short texts first, so that long ones cost those behind them little. A
// text is put off for at most a time that grows with its length, so the long ones get their turn, too.
// Owned by one frontend.
#pragma once
#include <algorithm>
#include <cstddef>
#include <functional>
#include <map>
#include <utility>

#include "core/ids.hpp"

namespace troupe {

class FrontendQueue {
  public:
    struct Job {
        std::function<void()> run;
        std::function<void()> abandon;  // instead of run, when the frontend dies with this in its queue
        const void* prompt = nullptr;   // jobs of one prompt follow each other: its ids are kept for the next
    };

    void push(TimeUs now, std::size_t bytes, Job job) {
        waiting_.emplace(now + static_cast<TimeUs>(bytes) * us_per_byte, std::move(job));
    }

    bool empty() const { return waiting_.empty(); }

    Job pop() {  // precondition: not empty
        auto next = std::find_if(waiting_.begin(), waiting_.end(), [this](const auto& entry) {
            return last_prompt_ != nullptr && entry.second.prompt == last_prompt_;
        });
        if (next == waiting_.end()) next = waiting_.begin();
        Job job = std::move(next->second);
        waiting_.erase(next);
        last_prompt_ = job.prompt;
        return job;
    }

    void abandon_all() {
        for (auto& [due, job] : std::exchange(waiting_, {})) job.abandon();
    }

  private:
    // Some ten times what tokenizing takes: whoever came that much later goes first.
    static constexpr TimeUs us_per_byte = 10;

    std::multimap<TimeUs, Job> waiting_;  // by when it is due
    const void* last_prompt_ = nullptr;
};

}  // namespace troupe
