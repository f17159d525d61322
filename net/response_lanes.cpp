#include "net/response_lanes.hpp"

#include <algorithm>

#include "net/json_writer.hpp"
#include "net/random_id.hpp"

namespace troupe::net {
namespace {

constexpr std::size_t kMaxStreamIdBytes = 256;

// The member of that name, nothing if it is absent or null.
std::optional<FieldValue> member(const Json& message, std::string_view name) {
    Json value;
    if (message[name].get(value) != simdjson::SUCCESS || value.is_null()) return std::nullopt;
    return FieldValue{value, std::string(name)};
}

Result<std::string> required_string(const Json& message, std::string_view name) {
    const auto value = member(message, name);
    if (!value)
        return invalid_argument(std::string(name) + " is missing; it must be a string", std::string(name));
    return read_string(*value);
}

Result<std::string> required_response_id(const Json& message) {
    auto id = required_string(message, "response_id");
    if (id && !id->starts_with(kResponseIdPrefix)) return response_not_found(*id);
    return id;
}

bool is_stream_id(std::string_view text) {
    return !text.empty() && text.size() <= kMaxStreamIdBytes && std::ranges::all_of(text, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
               c == '-' || c == '.';
    });
}

Result<std::optional<std::string>> read_stream_id(const Json& message) {
    const auto value = member(message, "stream_id");
    if (!value) return std::optional<std::string>();
    auto text = read_string(*value);
    if (text && is_stream_id(*text)) return std::optional<std::string>(*std::move(text));
    Error error = wrong_value(*value, "a string of 1 to " + std::to_string(kMaxStreamIdBytes) +
                                          " letters, digits, '_', '-' and '.'");
    error.tag = "invalid_stream_id";
    return error;
}

Error too_many(std::string what, std::string tag) {
    return {ErrorCode::resource_exhausted, std::move(what), "stream_id", std::move(tag)};
}

std::string error_event(const Error& error, const std::optional<std::string>& stream_id) {
    const int status = http_status(error);
    JsonWriter out;
    out.begin_object().field("type", "error").field("status", status);
    if (stream_id) out.field("stream_id", *stream_id);
    return out.key("error").raw(error_object(error, status)).end_object().take();
}

Error lifetime_over() {
    return invalid_argument(
        "this connection has reached the age that connections may have of an hour; open another "
        "one",
        {}, "websocket_connection_limit_reached");
}

}  // namespace

ResponseLanes::ResponseLanes(Api& api, LaneHooks hooks, std::string request_id, ApiKeyPtr key)
    : context_{api, std::move(hooks.post), std::move(hooks.wake), std::move(key),
               std::make_shared<UnreadBytes>(kMaxUnread, std::move(hooks.backlog))},
      later_(std::move(hooks.later)),
      request_id_(std::move(request_id)),
      recent_(kMaxRecent, kMaxWaitingBodies * api.config.max_body_bytes) {}

void ResponseLanes::receive(std::string_view message) {
    if (closed_) return;
    auto document = parse_json(message);
    if (!document) return reply_error(document.error(), {});
    const Json& root = (*document)->root;
    if (!root.is_object()) return reply_error(wrong_value({root, "the message"}, "a JSON object"), {});
    auto type = required_string(root, "type");
    if (type && *type == "response.steer") return steer(root);  // it has no stream_id of its own
    auto stream_id = read_stream_id(root);
    if (!stream_id) return reply_error(stream_id.error(), {});
    if (!type) return reply_error(type.error(), *stream_id);
    if (*type == "response.create") return create(root, message.size(), *stream_id);
    if (*type == "response.resume") return resume(root, *stream_id);
    if (*type == "response.cancel") return cancel(root, *stream_id);
    reply_error(invalid_argument("type must be \"response.create\", \"response.cancel\", \"response.steer\" "
                                 "or \"response.resume\", got \"" +
                                     shortened(*type, 60) + "\"",
                                 "type", "unknown_event_type"),
                *stream_id);
}

void ResponseLanes::create(const Json& message, std::size_t bytes,
                           const std::optional<std::string>& stream_id) {
    auto request = parse_response(message, context_.api.unknown);
    if (!request) return reply_error(request.error(), stream_id);
    KeyLeasePtr lease;
    if (const auto reached = begin_request(context_.api, context_.key, lease)) {
        return reply_to_limit(*reached, error_event(reached->error, stream_id));
    }
    enqueue(stream_id ? "=" + *stream_id : "", stream_id, {*std::move(request), bytes, std::move(lease), {}});
}

void ResponseLanes::resume(const Json& message, const std::optional<std::string>& stream_id) {
    auto id = required_response_id(message);
    if (!id) return reply_error(id.error(), stream_id);
    Resume job{*std::move(id)};
    if (const auto value = member(message, "starting_after")) {
        auto number = read_integer(*value, 0, kNoEvents - 1);
        if (!number) return reply_error(number.error(), stream_id);
        job.starting_after = *number;
    }
    // Without a stream_id it waits for nothing: a client that reconnects wants all its responses at once.
    enqueue(stream_id ? "=" + *stream_id : "#" + std::to_string(++unnamed_), stream_id,
            {std::move(job), 0, {}, {}});
}

void ResponseLanes::cancel(const Json& message, const std::optional<std::string>& stream_id) {
    auto id = required_response_id(message);
    if (!id) return reply_error(id.error(), stream_id);
    const bool read_here = lane_of(*id) != nullptr;
    auto answer = [self = shared_from_this(), id = *id, stream_id,
                   read_here](Result<GenerationSnapshot> snapshot) {
        if (self->closed_) return;
        auto response = known_response(id, snapshot);
        if (!response) {
            self->reply_error(response.error(), stream_id);
        } else if (!read_here) {  // where it is read, its stream ends with that event
            self->reply(
                ResponseEvents(response->record, stream_id).ended(response->last_number, response->state));
        }
    };
    context_.api.port.cancel(*id, tenant_of(context_.key), FinishReason::cancelled,
                             [post = context_.post, answer](Result<GenerationSnapshot> snapshot) {
                                 post([answer, snapshot = std::move(snapshot)] { answer(snapshot); });
                             });
}

void ResponseLanes::steer(const Json& message) {
    SteerMessage parsed = parse_steer(message);  // no structured binding: clang 14 cannot capture one
    Steer& steer = parsed.steer;
    Lane* lane = lane_of(steer.response_id);
    const RecentResponse* recent = recent_.find(steer.response_id);
    const auto failed = [&](SteerError code, std::string_view why) {
        const std::int64_t number = lane != nullptr     ? lane->run->last_number()
                                    : recent != nullptr ? recent->last_number
                                                        : 0;
        const auto stream_id = lane != nullptr     ? lane->stream_id
                               : recent != nullptr ? recent->lane
                                                   : std::nullopt;
        return steer_failed(steer, code, why, number, stream_id);
    };
    const auto fail = [&](SteerError code, std::string_view why) { reply(failed(code, why)); };
    if (parsed.refusal) return fail(SteerError::invalid_input, parsed.refusal->message);
    if (lane == nullptr && recent != nullptr) {
        return fail(SteerError::response_already_completed,
                    "the response has ended: continue it with response.create and previous_response_id");
    }
    if (lane == nullptr) {
        return fail(
            SteerError::response_not_found,
            "no response with id '" + shortened(steer.response_id, 80) + "' is running on this connection");
    }
    if (!lane->run->record().generate) {
        return fail(SteerError::steering_not_supported, "a response with generate: false has no output");
    }
    if (retired_) return fail(SteerError::successor_creation_failed, lifetime_over().message);
    const std::size_t bytes = steer.raw_input.size();
    if (lane->steers.size() >= kMaxSteersPerResponse ||
        waiting_bytes_ + bytes > kMaxWaitingBodies * context_.api.config.max_body_bytes) {
        return fail(SteerError::too_many_pending,
                    "too much input waits already: up to " + std::to_string(kMaxSteersPerResponse) +
                        " inputs of a response, and the bytes of all that waits on this connection");
    }
    if (lane->steers.empty()) {  // a response more: all that is accepted until then goes into one
        if (const auto reached = begin_request(context_.api, context_.key, lane->lease)) {
            return reply_to_limit(*reached,
                                  failed(SteerError::successor_creation_failed, reached->error.message));
        }
    }
    waiting_bytes_ += bytes;
    steer.id = random_id("steer_");
    reply(steer_accepted(steer, lane->run->last_number(), lane->stream_id));
    lane->steers.push_back(std::move(steer));
    lane->run->steer();
}

void ResponseLanes::enqueue(const std::string& key, const std::optional<std::string>& stream_id, Job job) {
    if (retired_) return reply_error(lifetime_over(), stream_id);
    if (!lanes_.contains(key) && lanes_.size() >= kMaxLanes) {
        return reply_error(too_many("this connection has " + std::to_string(kMaxLanes) +
                                        " streams at work; wait for one to end or open another connection",
                                    "websocket_stream_limit_reached"),
                           stream_id);
    }
    Lane& lane = lanes_[key];
    lane.stream_id = stream_id;
    const bool waits = lane.starting || lane.run;
    if (waits && waiting_bytes_ + job.bytes > kMaxWaitingBodies * context_.api.config.max_body_bytes) {
        return reply_error(too_many("the requests that wait on this connection hold too many bytes; wait for "
                                    "one to end or open another connection",
                                    "too_many_requests"),
                           stream_id);
    }
    if (lane.waiting.size() >= kMaxWaitingPerLane) {
        return reply_error(too_many("this stream has " + std::to_string(kMaxWaitingPerLane) +
                                        " requests waiting; wait for one to end",
                                    "too_many_requests"),
                           stream_id);
    }
    waiting_bytes_ += job.bytes;
    lane.waiting.push_back(std::move(job));
    start_next(key);
}

void ResponseLanes::start_next(const std::string& key) {
    Lane& lane = lanes_.at(key);
    if (lane.starting || lane.run) return;
    if (retired_) refuse_waiting(lane);
    if (lane.waiting.empty()) {
        lanes_.erase(key);
        return;
    }
    Job job = std::move(lane.waiting.front());
    lane.waiting.pop_front();
    waiting_bytes_ -= job.bytes;
    lane.committing = std::move(job.steers);
    lane.starting = true;
    lane.lease = std::move(job.lease);
    lane.began = std::chrono::steady_clock::now();
    lane.bytes = 0;
    auto started = [self = shared_from_this(), key](Result<RunPtr> run) {
        self->on_started(key, std::move(run));
    };
    if (auto* request = std::get_if<ResponseRequest>(&job.what)) {
        const RecentResponse* previous =
            request->previous_response_id ? recent_.find(*request->previous_response_id) : nullptr;
        create_response(context_, std::move(*request), {kFromStart, lane.stream_id}, std::move(started),
                        previous != nullptr && previous->state ? &*previous->state : nullptr);
    } else {
        const Resume& resumed = std::get<Resume>(job.what);
        resume_response(context_, resumed.id, {resumed.starting_after, lane.stream_id}, std::move(started));
    }
}

void ResponseLanes::on_started(const std::string& key, Result<RunPtr> run) {
    Lane& lane = lanes_.at(key);
    if (closed_) {
        if (run) leave_response(context_, **run, std::move(lane.lease));
        lanes_.erase(key);
        return;
    }
    lane.starting = false;
    if (!run) lane.lease.reset();
    if (run) {
        lane.run = *std::move(run);
        if (!lane.lease) lane.lease = context_.api.leases.take(lane.run->record().id);
        return context_.wake();  // its events may have come before it
    }
    if (lane.committing.empty()) {
        reply_error(run.error(), lane.stream_id);
    } else {
        fail_steers(lane.committing, SteerError::successor_creation_failed, run.error().message, lane);
    }
    start_next(key);
}

void ResponseLanes::produce(std::vector<std::string>& out) {
    out.insert(out.end(), std::make_move_iterator(replies_.begin()), std::make_move_iterator(replies_.end()));
    replies_.clear();
    std::size_t bytes = 0;
    auto next = lanes_.upper_bound(served_);
    for (std::size_t n = lanes_.size(); n > 0 && bytes < kMaxProduced; --n) {
        if (next == lanes_.end()) next = lanes_.begin();
        const auto current = next++;  // pump may erase the lane
        served_ = current->first;
        const std::size_t before = out.size();
        if (current->second.run) pump(served_, current->second, out);
        for (std::size_t i = before; i < out.size(); ++i) bytes += out[i].size();
    }
}

void ResponseLanes::pump(const std::string& key, Lane& lane, std::vector<std::string>& out) {
    const std::size_t before = out.size();
    lane.run->pump(out);
    for (std::size_t i = before; i < out.size(); ++i) lane.bytes += out[i].size();
    if (out.size() > before) committed(lane);
    if (lane.run->ended()) finish(key, lane);
}

void ResponseLanes::finish(const std::string& key, Lane& lane) {
    const ResponseRun& run = *lane.run;
    const std::string& id = run.record().id;
    log(lane);
    if (run.refusal() && !lane.committing.empty()) {
        fail_steers(lane.committing, SteerError::successor_creation_failed, run.refusal()->message, lane);
    } else if (run.refusal()) {
        fail_steers(lane.steers, SteerError::response_not_active, run.refusal()->message, lane);
        reply_error(*run.refusal(), lane.stream_id);
    } else {
        RecentResponse recent{id, lane.stream_id, run.last_number(), {}};
        if (!run.record().store) recent.state = run.snapshot();
        recent_.add(std::move(recent));
        const GenerationStatus status = run.end()->status;
        const bool continues =
            status == GenerationStatus::completed || status == GenerationStatus::incomplete;
        if (!continues) {
            fail_steers(lane.steers, SteerError::response_not_active,
                        "the response ended before its input could be committed", lane);
        } else if (!lane.steers.empty()) {
            lane.waiting.push_front(successor(lane));
        }
    }
    lane.run.reset();
    lane.lease.reset();
    start_next(std::string(key));
}

// The response that goes on with the input that waits for the end of the lane's run, with its settings.
ResponseLanes::Job ResponseLanes::successor(Lane& lane) {
    ResponseRequest request = lane.run->settings();
    request.previous_response_id = lane.run->record().id;
    request.input_given = true;
    for (const Steer& steer : lane.steers) {
        request.input.insert(request.input.end(), steer.input.begin(), steer.input.end());
    }
    return {std::move(request), 0, std::move(lane.lease), std::exchange(lane.steers, {})};
}

void ResponseLanes::committed(Lane& lane) {
    for (const Steer& steer : lane.committing) waiting_bytes_ -= steer.raw_input.size();
    lane.committing.clear();
}

void ResponseLanes::fail_steers(std::vector<Steer>& steers, SteerError code, std::string_view why,
                                const Lane& lane) {
    for (const Steer& steer : steers) {
        waiting_bytes_ -= steer.raw_input.size();
        reply(steer_failed(steer, code, why, lane.run ? lane.run->last_number() : 0, lane.stream_id));
    }
    steers.clear();
}

void ResponseLanes::refuse_waiting(Lane& lane) {
    for (Job& job : lane.waiting) {
        waiting_bytes_ -= job.bytes;
        if (job.steers.empty()) reply_error(lifetime_over(), lane.stream_id);
        fail_steers(job.steers, SteerError::successor_creation_failed, lifetime_over().message, lane);
    }
    lane.waiting.clear();
}

void ResponseLanes::retire() {
    if (closed_ || std::exchange(retired_, true)) return;
    reply_error(lifetime_over(), {});
    for (auto& [key, lane] : lanes_) refuse_waiting(lane);
}

void ResponseLanes::close() {
    closed_ = true;
    for (auto& [key, lane] : lanes_) {
        if (lane.run) leave_response(context_, *lane.run, std::move(lane.lease));
    }
    std::erase_if(lanes_, [](const auto& entry) { return !entry.second.starting; });
}

ResponseLanes::Lane* ResponseLanes::lane_of(const std::string& response_id) {
    for (auto& [key, lane] : lanes_) {
        if (lane.run && lane.run->record().id == response_id) return &lane;
    }
    return nullptr;
}

void ResponseLanes::reply(std::string message) {
    replies_.push_back(std::move(message));
    context_.wake();
}

void ResponseLanes::reply_error(const Error& error, const std::optional<std::string>& stream_id) {
    reply(error_event(error, stream_id));
}

// A flood beyond a key's limits costs its senders a moment for each message: nothing more is read until then.
void ResponseLanes::reply_to_limit(const LimitReached& reached, std::string message) {
    if (!reached.flood) return reply(std::move(message));
    penance_ = true;
    later_([self = shared_from_this(), message = std::move(message)] {
        self->penance_ = false;
        self->reply(message);
    });
}

void ResponseLanes::log(const Lane& lane) const {
    const ResponseRun& run = *lane.run;
    const auto& error = run.refusal() ? run.refusal() : run.end()->error;
    RequestLog entry;
    entry.method = "WS";
    entry.path = "/v1/responses";
    entry.request_id = request_id_;
    if (context_.key) entry.key = context_.key->name;
    entry.status = error ? http_status(*error) : 200;
    entry.bytes = lane.bytes;
    entry.milliseconds =
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - lane.began).count();
    if (run.end() && run.end()->usage) {
        entry.prompt_tokens = run.end()->usage->prompt_tokens;
        entry.completion_tokens = run.end()->usage->completion_tokens;
    }
    context_.api.log(entry);
}

}  // namespace troupe::net
