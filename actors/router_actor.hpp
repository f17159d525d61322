// Knows every request by its id and every replica by its model's name: admits or refuses by its own count,
// before anything is tokenized, and passes on what clients ask of a request. Spawns the request actors and
// outlives them.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "actors/messages.hpp"
#include "actors/replica_options.hpp"
#include "actors/request_actor.hpp"
#include "actors/shared_status.hpp"

namespace troupe {

struct RouteOptions {
    std::uint32_t max_live = 0;  // running and waiting requests; one more is refused with 429
    std::shared_ptr<const RequestContext> context;
    std::uint32_t max_texts =
        64;  // short ones, and long ones, for /tokenize and /detokenize; more are refused
};

struct RouterOptions {
    std::map<std::string, RouteOptions> models;  // by served name
    std::uint32_t max_retained = 0;        // finished requests that can still be read; the oldest go first
    std::uint64_t max_retained_bytes = 0;  // what they may hold together
    std::shared_ptr<ServerStatus> status;
    // No model has a worker any more, nor will have. Called once, from an actor's thread.
    std::function<void(const std::string& why)> give_up;
};

struct RouterState {
    explicit RouterState(RouterActor::pointer self) : self_(self) {}

    void start(RouterOptions options);
    void submit(const GenerationRequest& request, const SinkHandle& sink);
    void attach(const AttachReader& message, const SinkHandle& sink, const StatusReply& reply);
    void detach(const DetachReader& message, const SinkHandle& sink);
    void cancel(const CancelRequest& message, const SnapshotReply& reply);
    void lookup(const LookupRequest& message, const SnapshotReply& reply);
    void tokenize(const TokenizeText& message, const IdsReply& reply);
    void detokenize(const DetokenizeIds& message, const TextReply& reply);
    void drain(const DoneReply& reply);
    void abort(const Error& error);
    void frontend_needed(const std::string& id);
    void scheduler_up(const std::string& model, const SchedulerActor& scheduler);
    void frontend_up(const FrontendUp& message, const FrontendActor& frontend);
    void replica_failed(const ReplicaFailed& message);
    void ended(const RequestEnded& message);  // its place is free, its result is retained
    void expired(const std::string& id);      // its result is gone
    void down(const caf::down_msg& message);
    void stop();  // all requests, before the router itself ends

    // Where the requests for a model go.
    struct Replica {
        RouteOptions options;
        SchedulerActor scheduler;
        std::vector<FrontendActor> frontends;
        std::size_t next_frontend = 0;
        std::size_t live = 0;
        std::optional<Error> failed;  // what every new request is refused with
    };
    const Replica& replica(const std::string& model) const { return replicas_.at(model); }  // for tests

    static inline const char* name = "router";

  private:
    struct Entry {
        RequestActor actor;
        Replica* replica = nullptr;
        std::uint64_t tenant = 0;
        bool live = true;
        std::uint64_t prompt_group = 0;
        bool long_prompt = false;
        std::uint64_t place = 0;  // among the retained, once it has ended
        std::uint64_t retained_bytes = 0;
    };

    Result<Replica*> find(const std::string& model);
    // Null as well if it is another tenant's: whoever asks cannot tell that from an unknown id.
    const Entry* find(const std::string& id, std::uint64_t tenant) const;
    // Why a request for this model is not taken, if it is not.
    std::optional<Error> objection(const Replica& replica, const GenerationRequest& request) const;
    // Choices of one prompt go to the same, which prepares it once.
    static FrontendActor next_frontend(Replica& replica, std::uint64_t prompt_group, bool long_prompt);
    // What stands in for a text in the count of those that wait, as long as it lives.
    using TextPlace = std::shared_ptr<void>;
    // For /tokenize and /detokenize: who does it, and a place; or why not.
    Result<std::pair<FrontendActor, TextPlace>> text_place(const std::string& model, std::size_t bytes);
    void fail(Replica& replica, const Error& error);
    void forget(const std::string& id);
    void publish_retained();
    void leave_live(Entry& entry);

    RouterActor::pointer self_;
    RouterOptions options_;
    std::map<std::string, Replica> replicas_;
    SequenceId last_sequence_ = 0;
    std::map<std::string, Entry> requests_;
    std::map<caf::actor_addr, std::string> ids_;     // of live and retained request actors
    std::map<std::uint64_t, std::string> retained_;  // ids, by the order in which they finished
    std::uint64_t last_place_ = 0;
    std::uint64_t retained_bytes_ = 0;
    std::size_t live_ = 0;  // of all models
    std::vector<std::function<void()>> drained_;
};

RouterActor::behavior_type router(RouterActor::stateful_pointer<RouterState> self, RouterOptions options);

}  // namespace troupe
