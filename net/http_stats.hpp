// What happened at the HTTP side, for /metrics. Thread-safe.
#pragma once
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

namespace troupe::net {

struct HttpCounts {
    std::map<int, std::uint64_t> requests, websocket_requests;  // by status
    std::map<std::string, std::uint64_t> refusals;              // by the limit that was reached
    std::map<std::string, std::uint64_t> timeouts;              // by what was waited for
};

class HttpStats {
  public:
    void answered(int status, bool websocket) {
        const std::lock_guard lock(mutex_);
        ++(websocket ? counts_.websocket_requests : counts_.requests)[status];
    }
    void refused(const char* limit) {
        const std::lock_guard lock(mutex_);
        ++counts_.refusals[limit];
    }
    void timed_out(const char* waited_for) {
        const std::lock_guard lock(mutex_);
        ++counts_.timeouts[waited_for];
    }
    HttpCounts counts() const {
        const std::lock_guard lock(mutex_);
        return counts_;
    }

  private:
    mutable std::mutex mutex_;
    // Every label that there is exists from the start, so that rates can be computed from the first event on.
    HttpCounts counts_{{{200, 0}},
                       {},
                       {{"api_key", 0},
                        {"body_memory", 0},
                        {"body_size", 0},
                        {"connections", 0},
                        {"connections_per_address", 0},
                        {"header_size", 0},
                        {"key_concurrency", 0},
                        {"key_rate", 0},
                        {"origin", 0}},
                       {{"handshake", 0}, {"idle", 0}, {"read", 0}, {"write", 0}}};
};

}  // namespace troupe::net
