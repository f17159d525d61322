#include "net/response_lanes.hpp"

#include "net/json_writer.hpp"

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

}  // namespace

ResponseLanes::ResponseLanes(Api& api, Post post, std::function<void()> wake, std::string request_id,
                             ApiKeyPtr key)
    : context_{api, std::move(post), std::move(wake), std::move(key)}, request_id_(std::move(request_id)) {}

void ResponseLanes::receive(std::string_view message) {
    if (closed_) return;
    auto document = parse_json(message);
    if (!document) return reply_error(document.error(), {});
    const Json& root = (*document)->root;
    if (!root.is_object()) return reply_error(wrong_value({root, "the message"}, "a JSON object"), {});
    std::optional<std::string> stream_id;
    if (const auto value = member(root, "stream_id")) {
        auto text = read_string(*value);
        if (!text) return reply_error(text.error(), {});
        if (text->empty() || text->size() > kMaxStreamIdBytes) {
            const std::string allowed = "a string of 1 to " + std::to_string(kMaxStreamIdBytes) + " bytes";
            return reply_error(wrong_value(*value, allowed), {});
        }
        stream_id = *std::move(text);
    }
    auto type = required_string(root, "type");
    if (!type) return reply_error(type.error(), stream_id);
    if (*type == "response.create") return create(root, message.size(), stream_id);
    if (*type == "response.resume") return resume(root, stream_id);
    if (*type == "response.cancel") return cancel(root, stream_id);
    if (*type == "response.steer") {
        return reply_error(
            invalid_argument("response.steer is not supported yet: cancel the response and continue it "
                             "with previous_response_id",
                             "type", "steering_not_supported"),
            stream_id);
    }
    reply_error(invalid_argument(
                    "type must be \"response.create\", \"response.cancel\" or \"response.resume\", got \"" +
                        shortened(*type, 60) + "\"",
                    "type", "unknown_event_type"),
                stream_id);
}

void ResponseLanes::create(const Json& message, std::size_t bytes,
                           const std::optional<std::string>& stream_id) {
    auto request = parse_response(message, context_.api.unknown);
    if (!request) return reply_error(request.error(), stream_id);
    KeyLeasePtr lease;
    if (const auto reached = begin_request(context_.api, context_.key, lease)) {
        return reply_error(reached->error, stream_id);
    }
    enqueue(stream_id ? "=" + *stream_id : "", stream_id, {*std::move(request), bytes, std::move(lease)});
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
            {std::move(job), 0, {}});
}

void ResponseLanes::cancel(const Json& message, const std::optional<std::string>& stream_id) {
    auto id = required_response_id(message);
    if (!id) return reply_error(id.error(), stream_id);
    bool read_here = false;
    for (const auto& [key, lane] : lanes_)
        read_here = read_here || (lane.run && lane.run->record().id == *id);
    auto answer = [self = shared_from_this(), id = *id, stream_id,
                   read_here](Result<GenerationSnapshot> snapshot) {
        if (self->closed_) return;
        auto response = known_response(id, snapshot);
        if (!response) {
            self->reply_error(response.error(), stream_id);
        } else if (!read_here) {  // where it is read, its stream ends with that event
            const std::int64_t number = end_number(response->state.status, response->texts);
            self->replies_.push_back(
                ResponseEvents(response->record, stream_id).ended(number, response->state));
        }
        self->context_.wake();
    };
    context_.api.port.cancel(*id, [post = context_.post, answer](Result<GenerationSnapshot> snapshot) {
        post([answer, snapshot = std::move(snapshot)] { answer(snapshot); });
    });
}

void ResponseLanes::enqueue(const std::string& key, const std::optional<std::string>& stream_id, Job job) {
    if (!lanes_.contains(key) && lanes_.size() >= kMaxLanes) {
        return reply_error({ErrorCode::resource_exhausted,
                            "this connection has " + std::to_string(kMaxLanes) +
                                " streams at work; wait for one to end or open another connection",
                            "stream_id", "too_many_streams"},
                           stream_id);
    }
    Lane& lane = lanes_[key];
    lane.stream_id = stream_id;
    const bool waits = lane.starting || lane.run;
    if (waits && waiting_bytes_ + job.bytes > kMaxWaitingBodies * context_.api.config.max_body_bytes) {
        return reply_error({ErrorCode::resource_exhausted,
                            "the requests that wait on this connection hold too many bytes; wait for one to "
                            "end or open another connection",
                            "stream_id", "too_many_requests"},
                           stream_id);
    }
    if (lane.waiting.size() >= kMaxWaitingPerLane) {
        return reply_error({ErrorCode::resource_exhausted,
                            "this stream has " + std::to_string(kMaxWaitingPerLane) +
                                " requests waiting; wait for one to end",
                            "stream_id", "too_many_requests"},
                           stream_id);
    }
    waiting_bytes_ += job.bytes;
    lane.waiting.push_back(std::move(job));
    start_next(key);
}

void ResponseLanes::start_next(const std::string& key) {
    Lane& lane = lanes_.at(key);
    if (lane.starting || lane.run) return;
    if (lane.waiting.empty()) {
        lanes_.erase(key);
        return;
    }
    Job job = std::move(lane.waiting.front());
    lane.waiting.pop_front();
    waiting_bytes_ -= job.bytes;
    lane.starting = true;
    lane.lease = std::move(job.lease);
    lane.began = std::chrono::steady_clock::now();
    lane.bytes = 0;
    auto started = [self = shared_from_this(), key](Result<RunPtr> run) {
        self->on_started(key, std::move(run));
    };
    if (auto* request = std::get_if<ResponseRequest>(&job.what)) {
        create_response(context_, std::move(*request), {kFromStart, lane.stream_id}, std::move(started));
    } else {
        const Resume& resumed = std::get<Resume>(job.what);
        resume_response(context_, resumed.id, {resumed.starting_after, lane.stream_id}, std::move(started));
    }
}

void ResponseLanes::on_started(const std::string& key, Result<RunPtr> run) {
    if (closed_) {
        if (run) (*run)->detach();
        return;
    }
    Lane& lane = lanes_.at(key);
    lane.starting = false;
    if (!run) lane.lease.reset();
    if (run) {
        lane.run = *std::move(run);
        return context_.wake();  // its events may have come before it
    }
    reply_error(run.error(), lane.stream_id);
    start_next(key);
}

void ResponseLanes::produce(std::vector<std::string>& out) {
    out.insert(out.end(), std::make_move_iterator(replies_.begin()), std::make_move_iterator(replies_.end()));
    replies_.clear();
    for (auto next = lanes_.begin(); next != lanes_.end();) {
        const auto current = next++;  // pump may erase the lane
        if (current->second.run) pump(current->first, current->second, out);
    }
}

void ResponseLanes::pump(const std::string& key, Lane& lane, std::vector<std::string>& out) {
    const std::size_t before = out.size();
    lane.run->pump(out);
    for (std::size_t i = before; i < out.size(); ++i) lane.bytes += out[i].size();
    if (!lane.run->ended()) return;
    if (lane.run->refusal()) reply_error(*lane.run->refusal(), lane.stream_id);
    log(lane);
    lane.run.reset();
    lane.lease.reset();
    start_next(std::string(key));
}

void ResponseLanes::close() {
    closed_ = true;
    for (auto& [key, lane] : lanes_) {
        if (lane.run) lane.run->detach();
    }
    lanes_.clear();
}

void ResponseLanes::reply_error(const Error& error, const std::optional<std::string>& stream_id) {
    const int status = http_status(error);
    JsonWriter out;
    out.begin_object().field("type", "error").field("status", status);
    if (stream_id) out.field("stream_id", *stream_id);
    replies_.push_back(out.key("error").raw(error_object(error, status)).end_object().take());
    context_.wake();
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
