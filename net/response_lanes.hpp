// The protocol of the Responses WebSocket mode, without the socket: messages in, messages out. Requests with
// one stream_id form a lane and run in order; lanes run in parallel. Lives on the strand of its connection.
#pragma once
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "net/response_run.hpp"

namespace troupe::net {

inline constexpr std::size_t kMaxLanes = 256;          // of one connection
inline constexpr std::size_t kMaxWaitingPerLane = 64;  // requests behind the running one
inline constexpr std::size_t kMaxWaitingBodies = 2;  // of the largest size: what all lanes' waiting ones hold

class ResponseLanes : public std::enable_shared_from_this<ResponseLanes> {
  public:
    // `wake` (any thread) schedules a produce() on the strand; `post` runs work there.
    // `key` is the client's, if the server asks for one.
    ResponseLanes(Api& api, Post post, std::function<void()> wake, std::string request_id, ApiKeyPtr key);

    void receive(std::string_view message);
    // Appends the messages that are due.
    void produce(std::vector<std::string>& out);
    // The connection is gone: nobody reads these responses any more.
    void close();
    std::size_t unsent_replies() const { return replies_.size(); }
    bool idle() const { return lanes_.empty() && replies_.empty(); }

  private:
    struct Resume {
        std::string id;
        std::int64_t starting_after = kFromStart;
    };
    struct Job {
        std::variant<ResponseRequest, Resume> what;
        std::size_t bytes = 0;  // of its message
        KeyLeasePtr lease;      // of the client's key, until its run has ended
    };
    struct Lane {
        std::optional<std::string> stream_id;
        std::deque<Job> waiting;
        bool starting = false;  // the answer of the port is outstanding
        RunPtr run;
        KeyLeasePtr lease;                            // of the run
        std::chrono::steady_clock::time_point began;  // of the run, and what it has sent, for the log
        std::uint64_t bytes = 0;
    };

    void create(const Json& message, std::size_t bytes, const std::optional<std::string>& stream_id);
    void resume(const Json& message, const std::optional<std::string>& stream_id);
    void cancel(const Json& message, const std::optional<std::string>& stream_id);
    void enqueue(const std::string& key, const std::optional<std::string>& stream_id, Job job);
    void start_next(const std::string& key);
    void on_started(const std::string& key, Result<RunPtr> run);
    void pump(const std::string& key, Lane& lane, std::vector<std::string>& out);
    void reply_error(const Error& error, const std::optional<std::string>& stream_id);
    void log(const Lane& lane) const;

    const RunContext context_;
    const std::string request_id_;
    std::map<std::string, Lane> lanes_;  // running or waiting; a lane without work is forgotten
    std::vector<std::string> replies_;   // errors and answers to cancels, which go out first
    std::size_t waiting_bytes_ = 0;      // of the jobs that wait in all lanes
    std::uint64_t unnamed_ = 0;
    bool closed_ = false;
};

}  // namespace troupe::net
