// One HTTP request on its way through the endpoints: the side of a connection that they see. No sockets.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "actors/client_port.hpp"
#include "net/http_message.hpp"

namespace troupe::net {

// Runs work on a connection's strand, later; any thread. Without effect once the connection is gone.
using Post = std::function<void(std::function<void()>)>;

// What goes on behind a request while its connection waits. Called on the connection's strand.
class Producer {
  public:
    virtual ~Producer() = default;
    // The connection can take more: write to the exchange whatever is there.
    virtual void produce() = 0;
    virtual void client_gone() = 0;
    // Whether a client that has closed only its half of the connection is to get the answer, which comes
    // soon.
    virtual bool is_quick() const { return false; }
};

enum class Delivery : std::uint8_t { whole, events };

// All members but post() and wake() belong to the connection's strand. An answer is either one reply() or
// send_event()s and finish_events(); fail() fits in wherever the answer stands. What comes after the end is
// ignored.
class Exchange {
  public:
    explicit Exchange(HttpRequest request) : request_(std::move(request)) {}
    virtual ~Exchange() = default;

    const HttpRequest& request() const { return request_; }
    // An answer takes long, and needs its request's body only in the beginning.
    void forget_body() { request_.body = std::string(); }

    virtual Post post() = 0;
    // Schedules produce(). For EventReader's wake.
    virtual std::function<void()> wake() = 0;

    // From here on `producer` is told about the connection. With Delivery::events a silent stream gets
    // keep-alive comments, the first of which sends the status line.
    virtual void serve(std::shared_ptr<Producer> producer, Delivery delivery) = 0;

    virtual void reply(HttpReply reply) = 0;
    virtual void send_event(std::string_view json) = 0;
    virtual void finish_events() = 0;  // [DONE]
    virtual void fail(const Error& error) = 0;

    void count_tokens(const Usage& usage) {
        prompt_tokens_ += usage.prompt_tokens;
        completion_tokens_ += usage.completion_tokens;
    }

  protected:
    HttpRequest request_;
    std::uint64_t prompt_tokens_ = 0, completion_tokens_ = 0;
};

}  // namespace troupe::net
