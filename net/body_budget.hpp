// Bytes of request bodies that have arrived and are not parsed yet, of all connections together:
// --max-body-size bounds one of them, and there may be thousands. Thread-safe.
#pragma once
#include <atomic>
#include <cstdint>
#include <utility>

namespace troupe::net {

class BodyBudget {
  public:
    explicit BodyBudget(std::uint64_t limit) : limit_(limit) {}

    // What one body holds of it; given back when it is destroyed.
    class Share {
      public:
        explicit Share(BodyBudget& owner) : owner_(owner) {}
        Share(const Share&) = delete;
        Share& operator=(const Share&) = delete;
        ~Share() { release(); }

        // False, and nothing changes, if the budget is spent.
        bool grow_to(std::uint64_t bytes) {
            if (bytes <= held_) return true;
            const std::uint64_t more = bytes - held_;
            if (owner_.used_.fetch_add(more) + more > owner_.limit_) {
                owner_.used_ -= more;
                return false;
            }
            held_ = bytes;
            return true;
        }
        void release() { owner_.used_ -= std::exchange(held_, 0); }

      private:
        BodyBudget& owner_;
        std::uint64_t held_ = 0;
    };

    std::uint64_t limit() const { return limit_; }

  private:
    const std::uint64_t limit_;
    std::atomic<std::uint64_t> used_ = 0;
};

}  // namespace troupe::net
