#include "net/websocket_session.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <chrono>

#include "net/response_lanes.hpp"

namespace troupe::net {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
namespace websocket = boost::beast::websocket;
using boost::beast::error_code;

constexpr std::size_t kReadBytes = 64U << 10;      // at a time
constexpr auto kLifetime = std::chrono::hours(1);  // as OpenAI's
constexpr auto kSlowReaderGrace = std::chrono::seconds(1);
constexpr auto kMoment = std::chrono::milliseconds(100);  // that an answer to a flood takes
constexpr std::size_t kKeptBuffer = 16U << 10;            // a larger buffer is given back after its message
// Of a message that is too large, that many times the largest size is thrown away; then the connection ends.
constexpr std::uint64_t kMaxThrownAway = 4;

class WebSocketSession final : public Connection, public std::enable_shared_from_this<WebSocketSession> {
  public:
    WebSocketSession(Stream stream, Api& api, Connections::Slot slot)
        : stream_(std::move(stream)),
          api_(api),
          slot_(std::move(slot)),
          arriving_(api.bodies),
          lifetime_(stream_.get_executor()),
          patience_(stream_.get_executor()),
          backlog_(stream_.get_executor()),
          later_(stream_.get_executor()) {}

    void start(http::request<http::string_body> upgrade, const HttpRequest& request) {
        slot_.bind(weak_from_this());
        upgrade_ = std::move(upgrade);
        configure(request.request_id);
        const auto weak = weak_from_this();
        Post post = [weak](std::function<void()> work) {
            if (const auto self = weak.lock())
                asio::post(self->strand(), [self, work = std::move(work)] { work(); });
        };
        auto wake = [weak] {
            if (const auto self = weak.lock()) asio::post(self->strand(), [self] { self->flush(); });
        };
        auto backlog = [weak] {
            if (const auto self = weak.lock()) asio::post(self->strand(), [self] { self->watch_backlog(); });
        };
        Post later = [weak](std::function<void()> work) {
            if (const auto self = weak.lock()) self->do_later(std::move(work));
        };
        lanes_ = std::make_shared<ResponseLanes>(
            api_, LaneHooks{std::move(post), std::move(wake), std::move(backlog), std::move(later)},
            request.request_id, request.key);
        stream_.async_accept(upgrade_, [self = shared_from_this()](error_code error) {
            if (error) return self->end();
            self->upgrade_ = {};
            self->open_ = true;
            if (self->winding_up_) return self->say_goodbye();
            self->limit_lifetime();
            self->read();
            self->flush();
        });
    }

    void wind_up() override {
        asio::post(strand(), [self = shared_from_this()] {
            self->winding_up_ = true;
            if (!self->writing_ && self->lanes_->idle()) self->say_goodbye();
        });
    }
    void abort() override {
        asio::post(strand(), [self = shared_from_this()] { self->end(); });
    }

  private:
    // Any thread.
    asio::any_io_executor strand() { return stream_.get_executor(); }

    void configure(const std::string& request_id) {
        const std::chrono::milliseconds idle(api_.config.idle_timeout_ms);
        // Half of the idle time-out passes, then a ping; whoever does not answer is gone.
        stream_.set_option(websocket::stream_base::timeout{
            std::chrono::milliseconds(api_.config.read_timeout_ms), idle, true});
        stream_.set_option(websocket::stream_base::decorator(
            [request_id](websocket::response_type& response) { response.set("X-Request-Id", request_id); }));
        stream_.read_message_max(0);  // received() bounds it, so that a large message costs an error only
        stream_.text(true);
    }

    void limit_lifetime() {
        lifetime_.expires_after(kLifetime);
        lifetime_.async_wait([weak = weak_from_this()](error_code error) {
            const auto self = weak.lock();
            if (error || !self || !self->open_) return;
            self->lanes_->retire();
            self->winding_up_ = true;
            self->flush();
        });
    }

    void read() {
        reading_ = true;
        stream_.async_read_some(buffer_, kReadBytes,
                                [self = shared_from_this()](error_code error, std::size_t n) {
                                    self->reading_ = false;
                                    if (error) return self->end();
                                    self->received(n);
                                    self->read_on();
                                });
    }

    void read_on() {
        if (open_ && !reading_ && lanes_->listens()) read();
    }

    // A piece of a message has come.
    void received(std::size_t bytes) {
        message_bytes_ += bytes;
        if (!refusal_) refusal_ = judge();
        if (refusal_) {
            buffer_.consume(buffer_.size());
            arriving_.release();
        }
        if (message_bytes_ > kMaxThrownAway * api_.config.max_body_bytes) {
            return close_with(websocket::close_code::too_big, "the message is too large");
        }
        if (!stream_.is_message_done()) return await_the_rest();
        if (std::exchange(awaiting_rest_, false)) patience_.cancel();
        if (refusal_) {
            lanes_->refuse(*refusal_);
        } else {
            const auto data = buffer_.cdata();
            lanes_->receive({static_cast<const char*>(data.data()), data.size()});
        }
        refusal_.reset();
        message_bytes_ = 0;
        buffer_.consume(buffer_.size());
        if (buffer_.capacity() > kKeptBuffer) buffer_ = {};
        arriving_.release();
        flush();
    }

    // Why this message is not read, if it is not.
    std::optional<Error> judge() {
        const std::uint64_t largest = api_.config.max_body_bytes;
        if (!stream_.got_text()) {
            return invalid_argument("binary messages are not supported: send JSON in a text message", {},
                                    "invalid_message_type");
        }
        if (message_bytes_ > largest) {
            return Error{ErrorCode::too_large,
                         "the message has more than " + std::to_string(largest) +
                             " bytes (--max-body-size); send less at once",
                         {},
                         "message_too_large"};
        }
        if (!arriving_.grow_to(message_bytes_)) {
            return Error{ErrorCode::unavailable,
                         "the requests that are arriving together are too large; try again later",
                         {},
                         "too_many_bytes"};
        }
        return std::nullopt;
    }

    void await_the_rest() {
        if (std::exchange(awaiting_rest_, true)) return;
        patience_.expires_after(std::chrono::milliseconds(api_.config.read_timeout_ms));
        patience_.async_wait([weak = weak_from_this()](error_code error) {
            const auto self = weak.lock();
            if (error || !self) return;
            self->close_with(websocket::close_code::policy_error,
                             "the message did not arrive in time (--read-timeout)");
        });
    }

    void flush() {
        if (!open_ || writing_) {
            // What is due to a reader that is behind waits in the lanes, where it takes no more room.
            return;
        }
        if (unsent_.empty()) lanes_->produce(unsent_);
        if (next_ == unsent_.size()) {
            if (winding_up_ && lanes_->idle()) say_goodbye();
            return;
        }
        writing_ = true;
        stream_.async_write(asio::buffer(unsent_[next_]),
                            [self = shared_from_this()](error_code error, std::size_t) {
                                self->writing_ = false;
                                if (error) return self->end();
                                if (++self->next_ == self->unsent_.size()) {
                                    self->unsent_.clear();
                                    self->next_ = 0;
                                }
                                self->flush();
                                self->read_on();
                            });
    }

    void watch_backlog() {
        backlog_.expires_after(kSlowReaderGrace);
        backlog_.async_wait([weak = weak_from_this()](error_code error) {
            const auto self = weak.lock();
            if (error || !self || !self->lanes_->too_slow()) return;
            self->close_with(websocket::close_code::try_again_later,
                             "the client reads too slowly; resume its responses on another connection");
        });
    }

    void do_later(std::function<void()> work) {
        later_.expires_after(kMoment);
        // Nothing else may hold the session meanwhile.
        later_.async_wait([self = shared_from_this(), work = std::move(work)](error_code error) {
            if (!error) work();
        });
    }

    void say_goodbye() { close_with(websocket::close_code::going_away, ""); }

    // Behind the message that is being sent, if there is one.
    void close_with(websocket::close_code code, const char* reason) {
        if (!std::exchange(open_, false)) return;
        lanes_->close();
        stream_.async_close({code, reason}, [self = shared_from_this()](error_code) { self->end(); });
    }

    void end() {
        open_ = false;
        lanes_->close();
        lifetime_.cancel();
        patience_.cancel();
        backlog_.cancel();
        later_.cancel();
        stream_.next_layer().close();
    }

    websocket::stream<Stream> stream_;
    Api& api_;
    Connections::Slot slot_;
    http::request<http::string_body> upgrade_;
    std::shared_ptr<ResponseLanes> lanes_;
    boost::beast::flat_buffer buffer_;  // of the message that is arriving
    BodyBudget::Share arriving_;
    std::uint64_t message_bytes_ = 0;  // of it, those thrown away included
    std::optional<Error> refusal_;     // of it
    asio::steady_timer lifetime_, patience_, backlog_, later_;
    std::vector<std::string> unsent_;  // messages of one produce()
    std::size_t next_ = 0;             // of them, the one being written
    bool open_ = false, reading_ = false, writing_ = false, awaiting_rest_ = false, winding_up_ = false;
};

constexpr std::string_view kVersion = "13";
constexpr std::size_t kKeyChars = 24;  // 16 bytes in base64

}  // namespace

// What Beast looks at too (RFC 6455, 4.2.1), which refuses in plain text; the rest makes it an upgrade at
// all.
std::optional<HttpReply> upgrade_refusal(const Api& api, const http::fields& header) {
    if (auto ready = check_ready(api.port); !ready) return error_reply(ready.error());
    const auto refused = [](const std::string& message, int status) {
        return error_reply(invalid_argument(message, {}, "invalid_upgrade"), status);
    };
    if (header.count(http::field::host) == 0) return refused("an upgrade must have the header Host", 400);
    if (header[http::field::sec_websocket_version] != kVersion) {
        auto reply =
            refused("this server speaks version 13 of WebSocket: send Sec-WebSocket-Version: 13", 426);
        reply.headers.emplace_back("Sec-WebSocket-Version", kVersion);
        return reply;
    }
    const std::string_view key = header[http::field::sec_websocket_key];
    if (key.size() == kKeyChars && key.ends_with("==")) return std::nullopt;
    return refused("an upgrade must have a header Sec-WebSocket-Key with 16 random bytes in base64", 400);
}

void serve_websocket(Stream stream, http::request<http::string_body> upgrade, HttpRequest request, Api& api,
                     Connections::Slot slot) {
    std::make_shared<WebSocketSession>(std::move(stream), api, std::move(slot))
        ->start(std::move(upgrade), request);
}

}  // namespace troupe::net
