#include "actors/router_actor.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace troupe {

namespace {

Error unknown_request(const std::string& id) {
    return not_found("No request or response with id '" + id + "' is running or retained.", "id");
}

void refuse(const SinkHandle& handle, Error error) {
    if (auto sink = handle.sink.lock()) {
        FinishedEvent event;
        event.reason = FinishReason::failed;
        event.error = std::move(error);
        sink->deliver(event);
    }
}

// Bytes. Longer ones are read where they delay only each other.
constexpr std::size_t longest_short_text = 16U << 10;

Error still_loading() { return {ErrorCode::unavailable, "The server is loading; try again later.", {}, {}}; }

}  // namespace

void RouterState::start(RouterOptions options) {
    options_ = std::move(options);
    for (auto& [model, route] : options_.models) replicas_[model].options = route;
}

Result<RouterState::Replica*> RouterState::find(const std::string& model) {
    auto found = replicas_.find(model);
    if (found != replicas_.end()) return &found->second;
    return Error{ErrorCode::not_found, "There is no model '" + model + "' here.", "model", "model_not_found"};
}

std::optional<Error> RouterState::objection(const Replica& replica, const GenerationRequest& request) const {
    if (replica.failed) return replica.failed;
    if (options_.status->draining)
        return Error{ErrorCode::unavailable, "The server is shutting down; try another one.", {}, {}};
    if (!replica.scheduler || replica.frontends.empty()) return still_loading();
    if (requests_.count(request.id) != 0)
        return invalid_argument("A request with id '" + request.id + "' exists already.", "id");
    if (replica.live >= replica.options.max_live) {
        return Error{ErrorCode::resource_exhausted,
                     "All " + std::to_string(replica.options.max_live) +
                         " places for running and waiting requests are taken; try again later.",
                     {},
                     "queue_full"};
    }
    return std::nullopt;
}

void RouterState::submit(const GenerationRequest& request, const SinkHandle& sink) {
    auto found = find(request.model);
    if (!found) return refuse(sink, found.error());
    auto& replica = **found;
    if (auto error = objection(replica, request)) {
        replica.options.context->status->metrics.count("requests_refused_total");
        return refuse(sink, *std::move(error));
    }
    const bool long_prompt = text_bytes(*request.prompt) > longest_short_text;
    auto actor =
        self_->spawn<caf::monitored>(request_actor, request, ++last_sequence_, sink, replica.options.context,
                                     next_frontend(replica, request.prompt_group, long_prompt),
                                     replica.scheduler, caf::actor_cast<RequestOwner>(self_));
    ids_[actor.address()] = request.id;
    Entry entry;
    entry.actor = std::move(actor);
    entry.replica = &replica;
    entry.tenant = request.tenant;
    entry.prompt_group = request.prompt_group;
    entry.long_prompt = long_prompt;
    requests_[request.id] = std::move(entry);
    ++replica.live;
    ++live_;
}

const RouterState::Entry* RouterState::find(const std::string& id, std::uint64_t tenant) const {
    auto found = requests_.find(id);
    return found == requests_.end() || found->second.tenant != tenant ? nullptr : &found->second;
}

void RouterState::attach(const AttachReader& message, const SinkHandle& sink, const StatusReply& reply) {
    const auto* entry = find(message.id, message.tenant);
    if (entry == nullptr) return reply.done(unknown_request(message.id));
    self_->send(entry->actor, message, sink, reply);
}

void RouterState::detach(const DetachReader& message, const SinkHandle& sink) {
    auto found = requests_.find(message.id);
    if (found != requests_.end()) self_->send(found->second.actor, message, sink);
}

void RouterState::cancel(const CancelRequest& message, const SnapshotReply& reply) {
    const auto* entry = find(message.id, message.tenant);
    if (entry == nullptr) return reply.done(unknown_request(message.id));
    self_->send(entry->actor, message, reply);
}

void RouterState::lookup(const LookupRequest& message, const SnapshotReply& reply) {
    const auto* entry = find(message.id, message.tenant);
    if (entry == nullptr) return reply.done(unknown_request(message.id));
    self_->send(entry->actor, message, reply);
}

void RouterState::tokenize(const TokenizeText& message, const IdsReply& reply) {
    const auto prompt = message.prompt.lock();
    auto place = text_place(message.model, prompt ? text_bytes(*prompt) : 0);
    if (!place) return reply.done(place.error());
    self_->send(place->first, message,
                IdsReply{[reply, held = place->second](auto ids) { reply.done(std::move(ids)); }});
}

void RouterState::detokenize(const DetokenizeIds& message, const TextReply& reply) {
    const auto ids = message.ids.lock();
    auto place = text_place(message.model, ids ? ids->size() * sizeof(TokenId) : 0);
    if (!place) return reply.done(place.error());
    self_->send(place->first, message,
                TextReply{[reply, held = place->second](auto text) { reply.done(std::move(text)); }});
}

Result<std::pair<FrontendActor, RouterState::TextPlace>> RouterState::text_place(const std::string& model,
                                                                                 std::size_t bytes) {
    auto found = find(model);
    if (!found) return found.error();
    const auto& replica = **found;
    if (replica.frontends.size() < text_frontends) return still_loading();
    const bool long_text = bytes > longest_short_text;
    auto status = replica.options.context->status;
    auto* waiting = long_text ? &status->long_texts_waiting : &status->short_texts_waiting;
    if (*waiting >= replica.options.max_texts) {
        status->metrics.count("texts_refused_total");
        return Error{
            ErrorCode::resource_exhausted,
            "All " + std::to_string(replica.options.max_texts) + " places for " +
                (long_text ? "long" : "short") +
                " texts to tokenize or detokenize are taken (--max-tokenize-waiting); try again later.",
            {},
            "queue_full"};
    }
    ++*waiting;
    return std::pair{replica.frontends[replica.frontends.size() - (long_text ? 1 : text_frontends)],
                     TextPlace(nullptr, [status, waiting](void*) { --*waiting; })};
}

void RouterState::drain(const DoneReply& reply) {
    options_.status->draining = true;
    if (live_ == 0) return reply.done();
    drained_.push_back(reply.done);
}

void RouterState::fail(Replica& replica, const Error& error) {
    replica.failed = error;
    for (auto& [id, entry] : requests_) {
        if (entry.live && entry.replica == &replica) self_->send(entry.actor, AbortRequests{error});
    }
}

void RouterState::abort(const Error& error) {
    for (auto& [model, replica] : replicas_) fail(replica, error);
}

void RouterState::replica_failed(const ReplicaFailed& message) {
    auto found = find(message.model);
    if (!found || (*found)->failed) return;
    fail(**found, {ErrorCode::unavailable,
                   "The model '" + message.model +
                       "' has no worker any more and gets none on this server; try another one.",
                   {},
                   "model_failed"});
    bool any_left = std::any_of(replicas_.begin(), replicas_.end(),
                                [](const auto& entry) { return !entry.second.failed; });
    if (!any_left) options_.give_up(message.why);
}

void RouterState::frontend_needed(const std::string& id) {
    auto found = requests_.find(id);
    if (found == requests_.end()) return;
    auto& entry = found->second;
    self_->send(entry.actor, FrontendUp{},
                next_frontend(*entry.replica, entry.prompt_group, entry.long_prompt));
}

void RouterState::scheduler_up(const std::string& model, const SchedulerActor& scheduler) {
    auto& replica = replicas_.at(model);
    replica.scheduler = scheduler;
    for (auto& [id, entry] : requests_) {
        if (entry.live && entry.replica == &replica) self_->send(entry.actor, SchedulerUp{model}, scheduler);
    }
}

void RouterState::frontend_up(const FrontendUp& message, const FrontendActor& frontend) {
    auto& frontends = replicas_.at(message.model).frontends;
    if (frontends.size() <= message.index) frontends.resize(message.index + 1);
    frontends[message.index] = frontend;
}

FrontendActor RouterState::next_frontend(Replica& replica, std::uint64_t prompt_group, bool long_prompt) {
    if (long_prompt) return replica.frontends.back();
    auto others = std::max<std::size_t>(replica.frontends.size(), text_frontends + 1) - text_frontends;
    auto chosen = prompt_group != 0 ? prompt_group >> 1 : replica.next_frontend++;  // its lowest bit is set
    return replica.frontends[chosen % others];
}

void RouterState::leave_live(Entry& entry) {
    if (!entry.live) return;
    entry.live = false;
    --entry.replica->live;
    if (--live_ != 0) return;
    for (auto& done : drained_) done();
    drained_.clear();
}

void RouterState::ended(const RequestEnded& message) {
    auto found = requests_.find(message.id);
    if (found == requests_.end()) return;
    auto& entry = found->second;
    leave_live(entry);
    entry.retained_bytes = message.retained_bytes;
    entry.place = ++last_place_;
    retained_[entry.place] = message.id;
    retained_bytes_ += message.retained_bytes;
    while (retained_.size() > options_.max_retained || retained_bytes_ > options_.max_retained_bytes) {
        const std::string oldest = retained_.begin()->second;
        self_->send_exit(requests_.at(oldest).actor, caf::exit_reason::user_shutdown);
        forget(oldest);
    }
    publish_retained();
}

void RouterState::publish_retained() {
    options_.status->responses_retained = retained_.size();
    options_.status->responses_retained_bytes = retained_bytes_;
}

void RouterState::stop() {
    for (auto& [id, entry] : requests_) self_->send_exit(entry.actor, caf::exit_reason::user_shutdown);
}

void RouterState::expired(const std::string& id) { forget(id); }

void RouterState::forget(const std::string& id) {
    auto found = requests_.find(id);
    if (found == requests_.end()) return;
    auto& entry = found->second;
    if (retained_.erase(entry.place) != 0) {
        retained_bytes_ -= entry.retained_bytes;
        publish_retained();
    }
    leave_live(entry);
    ids_.erase(entry.actor.address());
    requests_.erase(found);
}

void RouterState::down(const caf::down_msg& message) {
    auto found = ids_.find(message.source);
    if (found == ids_.end()) return;
    if (message.reason) spdlog::error("request {} died: {}", found->second, caf::to_string(message.reason));
    auto id = found->second;
    forget(id);
}

RouterActor::behavior_type router(RouterActor::stateful_pointer<RouterState> self, RouterOptions options) {
    auto& state = self->state;
    state.start(std::move(options));
    self->set_down_handler([self](const caf::down_msg& message) { self->state.down(message); });
    self->set_exit_handler([self](const caf::exit_msg& message) {
        self->state.stop();
        self->quit(message.reason);
    });
    return {
        [&state](const RequestEnded& m) { state.ended(m); },
        [&state](const RequestExpired& m) { state.expired(m.id); },
        [&state](const GenerationRequest& m, const SinkHandle& sink) { state.submit(m, sink); },
        [&state](const AttachReader& m, const SinkHandle& s, const StatusReply& r) { state.attach(m, s, r); },
        [&state](const DetachReader& m, const SinkHandle& s) { state.detach(m, s); },
        [&state](const CancelRequest& m, const SnapshotReply& r) { state.cancel(m, r); },
        [&state](const LookupRequest& m, const SnapshotReply& r) { state.lookup(m, r); },
        [&state](const TokenizeText& m, const IdsReply& r) { state.tokenize(m, r); },
        [&state](const DetokenizeIds& m, const TextReply& r) { state.detokenize(m, r); },
        [&state](const Drain&, const DoneReply& r) { state.drain(r); },
        [&state](const AbortRequests& m) { state.abort(m.error); },
        [&state](const FrontendNeeded& m) { state.frontend_needed(m.id); },
        [&state](const SchedulerUp& m, const SchedulerActor& a) { state.scheduler_up(m.model, a); },
        [&state](const FrontendUp& m, const FrontendActor& a) { state.frontend_up(m, a); },
        [&state](const ReplicaFailed& m) { state.replica_failed(m); },
    };
}

}  // namespace troupe
