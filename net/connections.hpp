// The server's open connections: their number is bounded, and they can all be told to end.
#pragma once
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace troupe::net {

class Connection {
  public:
    virtual ~Connection() = default;
    // Any thread: end as soon as what is being answered has been sent.
    virtual void wind_up() = 0;
    // Any thread: end now.
    virtual void abort() = 0;
};

class Connections {
  public:
    // Counts as an open connection as long as it lives.
    class Slot {
      public:
        Slot(Connections& owner, std::uint64_t key, std::string address)
            : owner_(&owner), key_(key), address_(std::move(address)) {}
        Slot(Slot&& other) noexcept
            : owner_(std::exchange(other.owner_, nullptr)),
              key_(other.key_),
              address_(std::move(other.address_)) {}
        Slot(const Slot&) = delete;
        Slot& operator=(const Slot&) = delete;
        Slot& operator=(Slot&&) = delete;
        ~Slot() {
            if (owner_ != nullptr) owner_->remove(key_, address_);
        }
        // Who is to be told to wind up; replaced when a connection becomes a WebSocket.
        void bind(std::weak_ptr<Connection> connection) { owner_->bind(key_, std::move(connection)); }

      private:
        Connections* owner_;
        std::uint64_t key_;
        std::string address_;
    };

    // `address` is counted if it is not empty.
    Slot open(const std::string& address) {
        const std::lock_guard lock(mutex_);
        open_.emplace(++last_key_, std::weak_ptr<Connection>());
        if (!address.empty()) ++by_address_[address];
        return {*this, last_key_, address};
    }

    std::uint64_t count() const {
        const std::lock_guard lock(mutex_);
        return open_.size();
    }
    std::uint64_t count(const std::string& address) const {
        const std::lock_guard lock(mutex_);
        const auto found = by_address_.find(address);
        return found == by_address_.end() ? 0 : found->second;
    }

    // From here on a connection that is bound is wound up at once.
    void wind_up_all() {
        for (const auto& connection : wind_up_and_list()) connection->wind_up();
    }
    void abort_all() {
        for (const auto& connection : wind_up_and_list()) connection->abort();
    }

    bool wait_until_none(std::chrono::milliseconds limit) {
        std::unique_lock lock(mutex_);
        return none_.wait_for(lock, limit, [this] { return open_.empty(); });
    }

  private:
    std::vector<std::shared_ptr<Connection>> wind_up_and_list() {
        const std::lock_guard lock(mutex_);
        winding_up_ = true;
        std::vector<std::shared_ptr<Connection>> result;
        for (const auto& [key, weak] : open_) {
            if (auto connection = weak.lock()) result.push_back(std::move(connection));
        }
        return result;
    }
    void bind(std::uint64_t key, std::weak_ptr<Connection> connection) {
        std::shared_ptr<Connection> late;
        {
            const std::lock_guard lock(mutex_);
            if (winding_up_) late = connection.lock();
            open_[key] = std::move(connection);
        }
        if (late) late->wind_up();
    }
    void remove(std::uint64_t key, const std::string& address) {
        const std::lock_guard lock(mutex_);
        open_.erase(key);
        if (const auto found = by_address_.find(address);
            found != by_address_.end() && --found->second == 0) {
            by_address_.erase(found);
        }
        if (open_.empty()) none_.notify_all();
    }

    mutable std::mutex mutex_;
    std::condition_variable none_;
    std::map<std::uint64_t, std::weak_ptr<Connection>> open_;
    std::map<std::string, std::uint64_t> by_address_;
    std::uint64_t last_key_ = 0;
    bool winding_up_ = false;
};

}  // namespace troupe::net
