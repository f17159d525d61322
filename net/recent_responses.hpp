// The responses that ended on one connection last: what response.steer is told about them, and what those
// with store: false left behind, which only this connection can continue. Bounded; the oldest go first. Lives
// on the strand of its connection.
#pragma once
#include <deque>
#include <optional>
#include <string>

#include "actors/client_port.hpp"

namespace troupe::net {

struct RecentResponse {
    std::string id;
    std::optional<std::string> lane;          // its WebSocket stream_id
    std::int64_t last_number = 0;             // of its events
    std::optional<GenerationSnapshot> state;  // of one that is stored nowhere else
};

class RecentResponses {
  public:
    RecentResponses(std::size_t max_count, std::size_t max_bytes)
        : max_count_(max_count), max_bytes_(max_bytes) {}

    void add(RecentResponse response) {
        bytes_ += size(response);
        responses_.push_back(std::move(response));
        while (responses_.size() > max_count_ || (bytes_ > max_bytes_ && responses_.size() > 1)) {
            bytes_ -= size(responses_.front());
            responses_.pop_front();
        }
    }
    const RecentResponse* find(const std::string& id) const {
        for (const RecentResponse& response : responses_) {
            if (response.id == id) return &response;
        }
        return nullptr;
    }

  private:
    static std::size_t size(const RecentResponse& response) {
        return response.state ? response.state->record.size() + response.state->output.text.size() : 0;
    }

    const std::size_t max_count_, max_bytes_;
    std::size_t bytes_ = 0;
    std::deque<RecentResponse> responses_;
};

}  // namespace troupe::net
