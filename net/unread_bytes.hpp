// What the streams of one connection hold because their reader does not take it. Thread-safe.
#pragma once
#include <atomic>
#include <cstddef>
#include <functional>

namespace troupe::net {

class UnreadBytes {
  public:
    // `overflow` is called from an actor's thread when more than `limit` are held, once until settled(). It
    // must only schedule a second look: a burst (a resumed response) is not a slow reader yet.
    UnreadBytes(std::size_t limit, std::function<void()> overflow)
        : limit_(limit), overflow_(std::move(overflow)) {}

    void add(std::size_t bytes) {
        if (used_.fetch_add(bytes) + bytes > limit_ && !over_.exchange(true)) overflow_();
    }
    void remove(std::size_t bytes) { used_ -= bytes; }

    // The second look: whether it is still too much. If not, the next overflow is reported again.
    bool settled() {
        over_ = false;
        return used_ <= limit_;
    }

  private:
    const std::size_t limit_;
    const std::function<void()> overflow_;
    std::atomic<std::size_t> used_ = 0;
    std::atomic<bool> over_ = false;
};

}  // namespace troupe::net
