#include "net/http_session.hpp"

#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/websocket/rfc6455.hpp>
#include <chrono>
#include <optional>

#include "net/cors.hpp"
#include "net/http_exchange.hpp"
#include "net/websocket_session.hpp"

namespace troupe::net {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::beast::error_code;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::size_t kMaxPipelinedBytes = 64U << 10;  // read ahead while a request is answered
constexpr std::size_t kReadBytes = 4096;
constexpr std::size_t kMaxDiscardedBytes = 16U << 20;
constexpr milliseconds kLinger{1000};

class HttpSession final : public Connection, public std::enable_shared_from_this<HttpSession> {
  public:
    HttpSession(Stream stream, Api& api, Connections::Slot slot)
        : stream_(std::move(stream)),
          timer_(stream_.get_executor()),
          stall_timer_(stream_.get_executor()),
          api_(api),
          slot_(std::move(slot)),
          body_share_(api.bodies) {}

    void start() {
        slot_->bind(weak_from_this());
        on_strand(
            [](HttpSession& self) { self.handshake([](HttpSession& ready) { ready.await_request(); }); });
    }

    void refuse(Error error) {
        refused_ = std::move(error);
        slot_->bind(weak_from_this());
        on_strand([](HttpSession& self) {
            self.handshake([](HttpSession& ready) { ready.answer_early(error_reply(*ready.refused_)); });
        });
    }

    void wind_up() override {
        on_strand([](HttpSession& self) {
            self.winding_up_ = true;
            if (self.phase_ == Phase::waiting || self.phase_ == Phase::greeting) self.close();
        });
    }
    void abort() override {
        on_strand([](HttpSession& self) { self.drop(); });
    }

  private:
    enum class Phase : std::uint8_t {
        greeting,   // TLS, if that is spoken here, is agreed on
        waiting,    // for the first byte of a request
        reading,    // a request
        answering,  // one
        lingering,  // said goodbye, reads until the client has too, so that it gets all that was sent
        closed
    };

    // Any thread: the stream may be on its way to a WebSocket, its timer stays.
    asio::any_io_executor strand() { return timer_.get_executor(); }
    void on_strand(void (*work)(HttpSession&)) {
        asio::post(strand(), [self = shared_from_this(), work] { work(*self); });
    }

    void handshake(void (*then)(HttpSession&)) {
        arm(milliseconds(api_.config.read_timeout_ms));
        stream_.async_handshake([self = shared_from_this(), then](error_code error, std::size_t) {
            if (self->phase_ == Phase::closed) return;
            error ? self->close() : then(*self);
        });
    }

    // --- reading ---

    void await_request() {
        phase_ = Phase::waiting;
        if (winding_up_) return close();
        arm(milliseconds(api_.config.idle_timeout_ms));
        if (buffer_.size() == 0) return peer_ended_ ? close() : watch();
        if (!watching_) return read_header();
        stream_.cancel();  // a pipelined request is here: stop reading ahead, go on in on_watched
    }

    // One read stays outstanding while a request is answered: it sees the client go away, and takes what it
    // sends early.
    void watch() {
        if (peer_ended_ || std::exchange(watching_, true)) return;
        stream_.async_read_some(buffer_.prepare(kReadBytes),
                                [self = shared_from_this()](error_code error, std::size_t bytes) {
                                    self->watching_ = false;
                                    self->buffer_.commit(bytes);
                                    self->on_watched(error, bytes);
                                });
    }

    void on_watched(error_code error, std::size_t bytes) {
        if (phase_ == Phase::closed) return;
        const bool pipelined = phase_ == Phase::waiting && buffer_.size() > 0;
        if (error == asio::error::eof && (pipelined || phase_ == Phase::answering)) {
            peer_ended_ = true;  // it will send no more, but may still read
            if (pipelined) return read_header();
            return give_up("the client closed its side of the connection before the answer was complete");
        }
        if (error && !(error == asio::error::operation_aborted && pipelined)) return drop();
        switch (phase_) {
            case Phase::waiting:
                return read_header();
            case Phase::answering:
                if (buffer_.size() < kMaxPipelinedBytes) return watch();
                // Not to be read any further means not to be seen leaving.
                return give_up("more than " + std::to_string(kMaxPipelinedBytes) +
                               " bytes came behind a request that is still being answered; wait for the "
                               "answer or open another connection");
            case Phase::lingering:
                buffer_.consume(buffer_.size());
                discarded_ += bytes;
                return discarded_ < kMaxDiscardedBytes ? watch() : close();
            case Phase::greeting:
            case Phase::reading:
            case Phase::closed:
                return;
        }
    }

    void read_header() {
        phase_ = Phase::reading;
        began_ = Clock::now();
        parser_.emplace();
        parser_->header_limit(api_.config.max_header_bytes);
        parser_->body_limit(api_.config.max_body_bytes);
        arm(milliseconds(api_.config.read_timeout_ms));
        http::async_read_header(
            stream_, buffer_, *parser_,
            [self = shared_from_this()](error_code error, std::size_t) { self->on_header(error); });
    }

    void on_header(error_code error) {
        if (phase_ == Phase::closed) return;
        if (error) return on_bad_request(error);
        const auto& message = parser_->get();
        request_ = described();
        const HeaderFields fields{message[http::field::authorization],
                                  message[http::field::origin],
                                  message[http::field::host],
                                  message[http::field::access_control_request_method],
                                  message[http::field::access_control_request_headers],
                                  message[http::field::content_type],
                                  message[http::field::content_encoding],
                                  boost::beast::websocket::is_upgrade(message)};
        if (auto reply = refusal(api_, request_, fields)) {
            // A body that is still to come is not waited for: the connection ends instead.
            begin_exchange({message.keep_alive() && parser_->is_done(), message.version() == 11});
            watch();
            exchange_->reply(*std::move(reply));
            return flush();
        }
        parser_->eager(true);
        if (parser_->is_done()) return on_body();
        if (!boost::beast::iequals(message[http::field::expect], "100-continue")) return read_body();
        static constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
        asio::async_write(stream_, asio::buffer(go_on),
                          [self = shared_from_this()](error_code failed, std::size_t) {
                              if (failed) return self->drop();
                              if (self->phase_ != Phase::closed) self->read_body();
                          });
    }

    void read_body() {
        http::async_read_some(
            stream_, buffer_, *parser_,
            [self = shared_from_this()](error_code error, std::size_t) { self->on_body_part(error); });
    }

    void on_body_part(error_code error) {
        if (phase_ == Phase::closed) return;
        if (error) return on_bad_request(error);
        if (!body_share_.grow_to(parser_->get().body().size())) {
            api_.stats.refused("body_memory");
            return answer_early(error_reply({ErrorCode::unavailable,
                                             "the requests that are arriving together are too large "
                                             "(--max-body-memory); try again later",
                                             {},
                                             "too_many_body_bytes"}));
        }
        parser_->is_done() ? on_body() : read_body();
    }

    void on_body() {
        const auto& message = parser_->get();
        const bool upgrade = boost::beast::websocket::is_upgrade(message) && request_.path == "/v1/responses";
        auto refused = upgrade ? upgrade_refusal(api_, message) : std::nullopt;
        if (upgrade && !refused) return become_websocket();
        request_.body = std::move(parser_->get().body());
        begin_exchange({message.keep_alive(), message.version() == 11});
        watch();
        refused ? exchange_->reply(*std::move(refused)) : route(api_, exchange_);
        exchange_->forget_body();
        body_share_.release();
        if (exchange_->streams()) arm(milliseconds(api_.config.keepalive_ms));
        flush();
    }

    HttpRequest described() const {
        const auto& message = parser_->get();
        HttpRequest request;
        request.method = message.method_string();
        set_target(request, message.target());
        request.request_id = accept_request_id(message["X-Request-Id"]);
        request.answer_headers = cors_headers(api_.config, message[http::field::origin]);
        return request;
    }

    // Of request_.
    void begin_exchange(HttpExchange::Wire wire) {
        phase_ = Phase::answering;
        timer_.cancel();
        last_write_ = Clock::now();
        // Weak: what an actor still holds of a request must not keep its connection, and may outlive the
        // server.
        const auto weak = weak_from_this();
        Post post = [weak](std::function<void()> work) {
            if (const auto self = weak.lock()) {
                asio::post(self->strand(), [self, work = std::move(work)] {
                    work();
                    self->flush();
                });
            }
        };
        auto wake = [weak] {
            if (const auto self = weak.lock()) asio::post(self->strand(), [self] { self->pump(); });
        };
        exchange_ =
            std::make_shared<HttpExchange>(std::move(request_), wire, std::move(post), std::move(wake));
    }

    // --- requests that never were ---

    void answer_early(HttpReply reply) {
        const ApiKeyPtr key = request_.key;
        request_ = parser_ ? described() : HttpRequest{};
        request_.key = key;
        if (request_.request_id.empty()) request_.request_id = accept_request_id({});
        parser_.reset();  // and what has come of the body
        body_share_.release();
        begin_exchange({false, true});
        exchange_->reply(std::move(reply));
        flush();
    }

    void on_bad_request(error_code error) {
        const auto& limits = api_.config;
        if (timed_out_) {
            api_.stats.timed_out("read");
            return answer_early(
                error_reply({ErrorCode::timed_out,
                             "the request did not arrive within " + std::to_string(limits.read_timeout_ms) +
                                 " ms (--read-timeout)",
                             {},
                             "request_timeout"}));
        }
        if (error == http::error::header_limit || error == http::error::buffer_overflow) {
            api_.stats.refused("header_size");
            return answer_early(error_reply(
                invalid_argument("the request's header is larger than " +
                                     std::to_string(limits.max_header_bytes) + " bytes (--max-header-size)",
                                 {}, "header_too_large"),
                431));
        }
        if (error == http::error::body_limit) {
            api_.stats.refused("body_size");
            return answer_early(
                error_reply({ErrorCode::too_large,
                             "the request's body is larger than " + std::to_string(limits.max_body_bytes) +
                                 " bytes (--max-body-size); send less",
                             {},
                             "body_too_large"}));
        }
        if (error == http::error::partial_message) {
            return answer_early(
                error_reply(invalid_argument("the connection ended in the middle of the request")));
        }
        const bool malformed = error.category() == http::make_error_code(http::error::bad_method).category();
        if (malformed && error != http::error::end_of_stream) {
            return answer_early(error_reply(invalid_argument("the request is not HTTP: " + error.message())));
        }
        drop();
    }

    void become_websocket() {
        timer_.cancel();
        phase_ = Phase::closed;  // for this session: the socket goes on
        serve_websocket(std::move(stream_), parser_->release(), std::move(request_), api_, std::move(*slot_));
        slot_.reset();
    }

    // What is being answered ends, if a client that goes away ends it at all; the client is told, then the
    // connection closes.
    void give_up(const std::string& reason) {
        if (!exchange_->cancellable()) return;
        exchange_->give_up({ErrorCode::cancelled, reason, {}, "cancelled"});
        flush();
    }

    // --- writing ---

    void pump() {
        if (writing_ || !exchange_) return;
        exchange_->produce();
        flush();
    }

    void flush() {
        if (writing_ || !exchange_) return;
        out_ = exchange_->take_output();
        if (!out_.empty()) return write(0);
        if (exchange_->ended()) complete();
    }

    // Part by part, so that the stall timer measures progress and not the size of the answer.
    void write(std::size_t offset) {
        writing_ = true;
        stall_timer_.expires_after(milliseconds(api_.config.write_timeout_ms));
        stall_timer_.async_wait([weak = weak_from_this()](error_code cancelled) {
            const auto self = weak.lock();
            if (cancelled || !self || !self->writing_ || self->stall_timer_.expiry() > Clock::now()) return;
            self->api_.stats.timed_out("write");
            self->drop();
        });
        stream_.async_write_some(asio::buffer(out_.data() + offset, out_.size() - offset),
                                 [self = shared_from_this(), offset](error_code error, std::size_t bytes) {
                                     self->on_written(error, offset, bytes);
                                 });
    }

    void on_written(error_code error, std::size_t offset, std::size_t bytes) {
        writing_ = false;
        if (phase_ == Phase::closed) return;
        if (error) return drop();
        bytes_sent_ += bytes;
        if (offset + bytes < out_.size()) return write(offset + bytes);
        stall_timer_.cancel();
        last_write_ = Clock::now();
        pump();
    }

    void complete() {
        log(exchange_->given_up() ? 499 : exchange_->status());
        const bool keep = exchange_->keep_alive() && !winding_up_;
        exchange_.reset();
        keep ? await_request() : linger();
    }

    void log(int status) {
        RequestLog entry;
        entry.method = exchange_->request().method;
        entry.path = exchange_->request().path;
        entry.request_id = exchange_->request().request_id;
        entry.status = status;
        if (const ApiKeyPtr& key = exchange_->request().key) entry.key = key->name;
        entry.bytes = std::exchange(bytes_sent_, 0);
        entry.milliseconds = std::chrono::duration<double, std::milli>(Clock::now() - began_).count();
        entry.prompt_tokens = exchange_->prompt_tokens();
        entry.completion_tokens = exchange_->completion_tokens();
        api_.log(entry);
    }

    // --- time and ends ---

    void arm(milliseconds delay) {
        timer_.expires_after(delay);
        timer_.async_wait([weak = weak_from_this()](error_code cancelled) {
            const auto self = weak.lock();
            if (!cancelled && self && self->timer_.expiry() <= Clock::now()) self->on_timer();
        });
    }

    void on_timer() {
        switch (phase_) {
            case Phase::greeting:
                api_.stats.timed_out("handshake");
                return close();
            case Phase::waiting:
                api_.stats.timed_out("idle");
                return close();
            case Phase::lingering:
                return close();
            case Phase::reading:
                timed_out_ = true;
                return stream_.cancel();
            case Phase::answering:
                return keep_alive();
            case Phase::closed:
                return;
        }
    }

    void keep_alive() {
        if (!exchange_ || !exchange_->streams()) return;
        const milliseconds period(api_.config.keepalive_ms);
        const auto silent = std::chrono::duration_cast<milliseconds>(Clock::now() - last_write_);
        if (silent < period) return arm(period - silent);
        if (!writing_) {
            exchange_->keep_alive_comment();
            flush();
        }
        arm(period);
    }

    void linger() {
        phase_ = Phase::lingering;
        stream_.shutdown_send();
        arm(kLinger);
        peer_ended_ ? close() : watch();
    }

    // The connection ends, whatever was going on.
    void drop() {
        if (phase_ == Phase::closed) return;
        if (exchange_) {
            log(499);
            std::exchange(exchange_, nullptr)->client_gone();
        }
        close();
    }

    void close() {
        phase_ = Phase::closed;
        timer_.cancel();
        stall_timer_.cancel();
        stream_.close();
    }

    Stream stream_;
    asio::steady_timer timer_;        // what it means depends on the phase
    asio::steady_timer stall_timer_;  // a write that makes no progress
    Api& api_;
    std::optional<Connections::Slot> slot_;
    boost::beast::flat_buffer buffer_;
    std::optional<http::request_parser<http::string_body>> parser_;
    HttpRequest request_;           // being read
    BodyBudget::Share body_share_;  // of its body
    std::shared_ptr<HttpExchange> exchange_;
    std::optional<Error> refused_;  // there is no place for this connection
    Phase phase_ = Phase::greeting;
    bool watching_ = false, writing_ = false, peer_ended_ = false, timed_out_ = false, winding_up_ = false;
    std::string out_;  // being written
    std::uint64_t bytes_sent_ = 0;
    std::size_t discarded_ = 0;
    Clock::time_point began_ = Clock::now(), last_write_ = began_;
};

}  // namespace

void serve_http(Stream stream, Api& api, Connections::Slot slot) {
    std::make_shared<HttpSession>(std::move(stream), api, std::move(slot))->start();
}

void refuse_http(Stream stream, Api& api, Connections::Slot slot, Error error) {
    std::make_shared<HttpSession>(std::move(stream), api, std::move(slot))->refuse(std::move(error));
}

}  // namespace troupe::net
