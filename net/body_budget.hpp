// Bytes of large request bodies that are arriving, and of prompts made of them that have not been tokenized
// yet, of all connections together: --max-body-size bounds one of them, and there may be thousands. Small
// ones are not counted, so that those who send large ones keep nobody else out. Thread-safe.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

namespace troupe::net {

class BodyBudget {
  public:
    static constexpr std::uint64_t uncounted = 64U << 10;  // bytes, up to which a body is small

    explicit BodyBudget(std::uint64_t limit) : limit_(limit) {}

    // What one body holds of it; given back when it is destroyed, which may be after the budget is.
    class Share {
      public:
        explicit Share(const BodyBudget& owner) : used_(owner.used_), limit_(owner.limit_) {}
        Share(const Share&) = delete;
        Share& operator=(const Share&) = delete;
        ~Share() { release(); }

        // False, and nothing changes, if the budget is spent.
        bool grow_to(std::uint64_t bytes) {
            if (bytes <= held_ || bytes <= uncounted) return true;
            const std::uint64_t more = bytes - held_;
            if (used_->fetch_add(more) + more > limit_) {
                *used_ -= more;
                return false;
            }
            held_ = bytes;
            return true;
        }
        void release() { *used_ -= std::exchange(held_, 0); }

      private:
        const std::shared_ptr<std::atomic<std::uint64_t>> used_;
        const std::uint64_t limit_;
        std::uint64_t held_ = 0;
    };

    std::uint64_t limit() const { return limit_; }

  private:
    const std::uint64_t limit_;
    const std::shared_ptr<std::atomic<std::uint64_t>> used_ = std::make_shared<std::atomic<std::uint64_t>>(0);
};

}  // namespace troupe::net
