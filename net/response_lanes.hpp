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

#include "net/recent_responses.hpp"
#include "net/response_run.hpp"
#include "net/steering.hpp"

namespace troupe::net {

// A client that sends without reading is not read any further while this many answers wait for it.
inline constexpr std::size_t kMaxUnsentReplies = 256;
inline constexpr std::size_t kMaxLanes = 256;          // of one connection
inline constexpr std::size_t kMaxWaitingPerLane = 64;  // requests behind the running one
inline constexpr std::size_t kMaxSteersPerResponse = 16;
inline constexpr std::size_t kMaxWaitingBodies = 2;      // of the largest size: what waits in all lanes
inline constexpr std::size_t kMaxRecent = 256;           // responses that a connection remembers
inline constexpr std::size_t kMaxUnread = 4U << 20;      // bytes of text that nobody takes
inline constexpr std::size_t kMaxProduced = 256U << 10;  // bytes of events that are made ahead of the socket

// What a connection does for its lanes; any thread. `wake` schedules a produce() on the strand, `post` runs
// work there, `backlog` schedules a look at too_slow() after a while. `later` is for the strand: it runs one
// piece of work there after a moment.
struct LaneHooks {
    Post post;
    std::function<void()> wake, backlog;
    Post later;
};

class ResponseLanes : public std::enable_shared_from_this<ResponseLanes> {
  public:
    // `key` is the client's, if the server asks for one.
    ResponseLanes(Api& api, LaneHooks hooks, std::string request_id, ApiKeyPtr key);

    void receive(std::string_view message);
    // Answers a message that cannot be read.
    void refuse(const Error& error) { reply_error(error, {}); }
    // Appends some of the messages that are due; to be called again when they have been sent.
    void produce(std::vector<std::string>& out);
    // The connection has lived its time: what runs goes on, everything else is refused.
    void retire();
    // The connection is gone: nobody reads these responses any more.
    void close();
    // Whether its reader leaves more than kMaxUnread lying.
    bool too_slow() const { return !context_.unread->settled(); }
    // Whether it takes messages: not while too many answers, or one that is given later, are to come.
    bool listens() const { return replies_.size() < kMaxUnsentReplies && !penance_; }
    bool idle() const { return lanes_.empty() && replies_.empty() && !penance_; }

  private:
    struct Resume {
        std::string id;
        std::int64_t starting_after = kFromStart;
    };
    struct Job {
        std::variant<ResponseRequest, Resume> what;
        std::size_t bytes = 0;      // of its message
        KeyLeasePtr lease;          // of the client's key, until its run has ended
        std::vector<Steer> steers;  // that it commits, if it is the successor of a steered response
    };
    struct Lane {
        std::optional<std::string> stream_id;
        std::deque<Job> waiting;
        bool starting = false;  // the answer of the port is outstanding
        RunPtr run;
        KeyLeasePtr lease;                            // of the run
        std::vector<Steer> committing;                // by the run that is about to begin
        std::vector<Steer> steers;                    // accepted, wait for the end of the run
        std::chrono::steady_clock::time_point began;  // of the run, and what it has sent, for the log
        std::uint64_t bytes = 0;
    };

    void create(const Json& message, std::size_t bytes, const std::optional<std::string>& stream_id);
    void resume(const Json& message, const std::optional<std::string>& stream_id);
    void cancel(const Json& message, const std::optional<std::string>& stream_id);
    void steer(const Json& message);
    void enqueue(const std::string& key, const std::optional<std::string>& stream_id, Job job);
    void start_next(const std::string& key);
    void on_started(const std::string& key, Result<RunPtr> run);
    void pump(const std::string& key, Lane& lane, std::vector<std::string>& out);
    void finish(const std::string& key, Lane& lane);
    Job successor(Lane& lane);
    void committed(Lane& lane);
    void fail_steers(std::vector<Steer>& steers, SteerError code, std::string_view why, const Lane& lane);
    void refuse_waiting(Lane& lane);
    Lane* lane_of(const std::string& response_id);
    void reply(std::string message);
    void reply_error(const Error& error, const std::optional<std::string>& stream_id);
    void reply_to_limit(const LimitReached& reached, std::string message);
    void log(const Lane& lane) const;

    const RunContext context_;
    const Post later_;
    const std::string request_id_;
    std::map<std::string, Lane> lanes_;  // running or waiting; a lane without work is forgotten
    std::string served_;                 // key of the lane whose events were made last
    std::vector<std::string> replies_;   // errors and answers, which go out first
    RecentResponses recent_;
    std::size_t waiting_bytes_ = 0;  // of the jobs and steers that wait in all lanes
    std::uint64_t unnamed_ = 0;
    bool retired_ = false, closed_ = false;
    bool penance_ = false;  // an answer waits its moment
};

}  // namespace troupe::net
