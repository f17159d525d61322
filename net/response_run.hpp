// One response as one connection reads it: turns its generation's events into the events of the Responses
// API, from the first or from behind a sequence number on. Shared by SSE, WebSockets and whole answers. Lives
// on the strand of its connection.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/api.hpp"
#include "net/event_reader.hpp"
#include "net/response_render.hpp"

namespace troupe::net {

inline constexpr std::int64_t kFromStart = -1;
inline constexpr std::int64_t kNoEvents = std::numeric_limits<std::int64_t>::max();

struct ReadOptions {
    std::int64_t starting_after = kFromStart;  // events up to this number are left out
    std::optional<std::string> lane;           // the WebSocket stream_id that events carry
};

class ResponseRun {
  public:
    // `settings`: what a successor that nobody asks for in detail inherits, the request without its input.
    // `begun`: it has been admitted already (a resumed one).
    ResponseRun(ClientPort& port, std::uint64_t tenant, ResponseRecord record, ResponseRequest settings,
                std::shared_ptr<EventReader> reader, ReadOptions options, bool begun);
    ResponseRun(const ResponseRun&) = delete;
    ResponseRun& operator=(const ResponseRun&) = delete;

    // Appends the events that are due.
    void pump(std::vector<std::string>& events);

    const ResponseRecord& record() const { return record_; }
    const ResponseRequest& settings() const { return settings_; }
    // Of the newest event that it has given out, or that its reader had before.
    std::int64_t last_number() const { return last_number_; }
    const std::optional<std::string>& lane() const { return options_.lane; }
    bool begun() const { return begun_; }
    bool ended() const { return refusal_ || end_; }
    // Why it never began, or why this reader gets nothing more.
    const std::optional<Error>& refusal() const { return refusal_; }
    // Its end state, once it has ended without refusal.
    const std::optional<ResponseState>& end() const { return end_; }

    // What a conversation can go on from once it has ended.
    GenerationSnapshot snapshot() const;

    // Ends it, as soon as it has said something, so that its conversation can go on with other input.
    void steer();

    void detach();  // the reader goes away; without effect after the end
    // Whether it goes on when its reader goes away.
    bool runs_on() const { return !ended() && (record_.store || record_.background); }

  private:
    void begin(std::vector<std::string>& events);
    void show(std::vector<std::string>& events);  // what its output has made
    void finish(const FinishedEvent& finished, std::vector<std::string>& events);
    void cancel_if_steered();
    template <class Render>
    void emit(std::vector<std::string>& events, std::int64_t number, Render render);

    ClientPort& port_;
    const std::uint64_t tenant_;
    const ResponseRecord record_;
    const ResponseRequest settings_;
    const std::shared_ptr<EventReader> reader_;
    const ReadOptions options_;
    const ResponseEvents render_;
    std::int64_t last_number_;
    bool steered_ = false, cancelled_ = false;  // asked to end; the port has been told
    bool begun_, announced_ = false;
    ResponseOutput output_;
    Thinking thinking_ = Thinking::none;
    std::string text_;  // all of it, of one that is stored nowhere else
    std::optional<Error> refusal_;
    std::optional<ResponseState> end_;
};

using RunPtr = std::shared_ptr<ResponseRun>;
using RunResult = std::function<void(Result<RunPtr>)>;

// Where a run reports to: `wake` schedules a pump of the connection, `post` runs work on its strand.
struct RunContext {
    Api& api;
    Post post;
    std::function<void()> wake;
    ApiKeyPtr key;                             // the client's, if the server asks for one
    std::shared_ptr<UnreadBytes> unread = {};  // what its readers hold is counted here, if anywhere
};

// Checks the request, finds the response that it continues, submits. `done` is called on the strand, at once
// or later; refusals that come after submission show up in pump(). `previous` is that response if the
// connection knows it by itself (store: false).
void create_response(const RunContext& context, ResponseRequest request, ReadOptions options, RunResult done,
                     const GenerationSnapshot* previous = nullptr);

// Attaches to a running or retained response.
void resume_response(const RunContext& context, const std::string& id, ReadOptions options, RunResult done);

// Its reader goes away; a response that runs on keeps its place within the limits of its key.
void leave_response(const RunContext& context, ResponseRun& run, KeyLeasePtr lease);

struct KnownResponse {
    ResponseRecord record;
    ResponseState state;
    std::int64_t last_number = 0;  // of its events so far
};
// What a port's snapshot holds, not_found if it is not a response.
Result<KnownResponse> known_response(const std::string& id, const Result<GenerationSnapshot>& snapshot);
// The same for those that may be read later: not_found for store: false.
Result<KnownResponse> stored_response(const std::string& id, const Result<GenerationSnapshot>& snapshot);

}  // namespace troupe::net
