// POST /v1/responses, GET /v1/responses/{id} (whole or resumed as a stream), POST /v1/responses/{id}/cancel.
#include <charconv>

#include "net/api.hpp"
#include "net/response_run.hpp"

namespace troupe::net {
namespace {

using ExchangePtr = std::shared_ptr<Exchange>;

HttpReply object_reply(const ResponseRecord& record, const ResponseState& state) {
    HttpReply reply;
    reply.body = response_object(record, state);
    return reply;
}

enum class Answer : std::uint8_t {
    whole,
    events,
    accepted
};  // accepted: the object as soon as it is admitted

class ResponseCall final : public Producer, public std::enable_shared_from_this<ResponseCall> {
  public:
    ResponseCall(Api& api, ExchangePtr exchange, Answer answer)
        : exchange_(std::move(exchange)),
          answer_(answer),
          context_{api, exchange_->post(), exchange_->wake(), exchange_->request().key} {}

    void create(ResponseRequest request) {
        serve();
        create_response(context_, std::move(request),
                        {answer_ == Answer::events ? kFromStart : kNoEvents, {}}, begin_with());
    }
    void resume(const std::string& id, std::int64_t starting_after) {
        serve();
        resume_response(context_, id, {starting_after, {}}, begin_with());
    }

    void produce() override {
        if (!run_) return;
        std::vector<std::string> events;
        run_->pump(events);
        for (const std::string& event : events) exchange_->send_event(event);
        if (run_->refusal()) return exchange_->fail(*run_->refusal());
        if (answer_ == Answer::accepted && run_->begun()) return accept();
        if (run_->end()) finish(*run_->end());
    }

    void client_gone() override {
        gone_ = true;
        if (run_) leave();
    }

  private:
    void serve() {
        exchange_->serve(shared_from_this(), answer_ == Answer::events ? Delivery::events : Delivery::whole);
    }

    RunResult begin_with() {
        return [self = shared_from_this()](Result<RunPtr> run) {
            if (!run) return self->exchange_->fail(run.error());
            self->run_ = *std::move(run);
            if (self->gone_) return self->leave();
            self->produce();
        };
    }

    void accept() {
        ResponseState state;
        state.status = GenerationStatus::queued;
        exchange_->reply(object_reply(run_->record(), run_->end().value_or(state)));
        leave();  // it runs on: it is kept for later
    }

    void leave() { leave_response(context_, *run_, exchange_->request().lease); }

    void finish(const ResponseState& end) {
        if (end.usage) exchange_->count_tokens(*end.usage);
        if (answer_ == Answer::events) return exchange_->finish_events();
        if (end.status == GenerationStatus::failed) {
            return exchange_->fail(end.error.value_or(internal_error("the generation failed")));
        }
        exchange_->reply(object_reply(run_->record(), end));
    }

    const ExchangePtr exchange_;
    const Answer answer_;
    const RunContext context_;
    RunPtr run_;
    bool gone_ = false;
};

// Answers with the response as the port's snapshot shows it; `find` is known_response or stored_response.
template <class Find>
std::function<void(Result<GenerationSnapshot>)> reply_with_object(const ExchangePtr& exchange,
                                                                  const std::string& id, Find find) {
    return [exchange, post = exchange->post(), id, find](Result<GenerationSnapshot> snapshot) {
        post([exchange, id, find, snapshot = std::move(snapshot)] {
            auto response = find(id, snapshot);
            if (!response) return exchange->fail(response.error());
            exchange->reply(object_reply(response->record, response->state));
        });
    };
}

Result<bool> bool_query(std::string_view query, std::string_view name) {
    const std::string value = query_value(query, name);
    if (value == "true") return true;
    if (value.empty() || value == "false") return false;
    return invalid_argument(std::string(name) + " must be true or false", std::string(name));
}

Result<std::int64_t> starting_after_query(std::string_view query) {
    const std::string value = query_value(query, "starting_after");
    if (value.empty()) return kFromStart;
    std::int64_t number = 0;
    const auto end = value.data() + value.size();
    const auto [stop, error] = std::from_chars(value.data(), end, number);
    if (error == std::errc() && stop == end && number >= 0 && number < kNoEvents) return number;
    return invalid_argument("starting_after must be a sequence number, an integer from 0 on",
                            "starting_after");
}

}  // namespace

void post_responses(Api& api, const ExchangePtr& exchange) {
    auto request = parse_response(exchange->request().body, api.unknown);
    if (!request) return exchange->fail(request.error());
    const Answer answer = request->stream       ? Answer::events
                          : request->background ? Answer::accepted
                                                : Answer::whole;
    std::make_shared<ResponseCall>(api, exchange, answer)->create(*std::move(request));
}

void get_response(Api& api, const ExchangePtr& exchange, const std::string& id) {
    const std::string& query = exchange->request().query;
    auto stream = bool_query(query, "stream");
    if (!stream) return exchange->fail(stream.error());
    auto starting_after = starting_after_query(query);
    if (!starting_after) return exchange->fail(starting_after.error());
    if (*starting_after != kFromStart && !*stream) {
        return exchange->fail(
            invalid_argument("starting_after is only allowed with stream=true", "starting_after"));
    }
    if (!id.starts_with(kResponseIdPrefix)) return exchange->fail(response_not_found(id));
    if (*stream && exchange->request().method != "HEAD") {
        return std::make_shared<ResponseCall>(api, exchange, Answer::events)->resume(id, *starting_after);
    }
    api.port.lookup(id, tenant_of(exchange->request().key), reply_with_object(exchange, id, stored_response));
}

void cancel_response(Api& api, const ExchangePtr& exchange, const std::string& id) {
    if (!id.starts_with(kResponseIdPrefix)) return exchange->fail(response_not_found(id));
    api.port.cancel(id, tenant_of(exchange->request().key), FinishReason::cancelled,
                    reply_with_object(exchange, id, known_response));
}

}  // namespace troupe::net
