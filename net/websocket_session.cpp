#include "net/websocket_session.hpp"

#include <boost/asio/post.hpp>
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

// A client that sends without reading is not read any further while this many answers wait for it.
constexpr std::size_t kMaxUnsentReplies = 256;

class WebSocketSession final : public Connection, public std::enable_shared_from_this<WebSocketSession> {
  public:
    WebSocketSession(Stream stream, Api& api, Connections::Slot slot)
        : stream_(std::move(stream)), api_(api), slot_(std::move(slot)) {}

    void start(http::request<http::string_body> upgrade, const HttpRequest& request) {
        slot_.bind(weak_from_this());
        upgrade_ = std::move(upgrade);
        configure(request.request_id);
        const auto weak = weak_from_this();
        const auto executor = stream_.get_executor();
        Post post = [weak, executor](std::function<void()> work) {
            if (const auto self = weak.lock())
                asio::post(executor, [self, work = std::move(work)] { work(); });
        };
        auto wake = [weak, executor] {
            if (const auto self = weak.lock()) asio::post(executor, [self] { self->flush(); });
        };
        lanes_ = std::make_shared<ResponseLanes>(api_, std::move(post), std::move(wake), request.request_id,
                                                 request.key);
        stream_.async_accept(upgrade_, [self = shared_from_this()](error_code error) {
            if (error) return self->end();
            self->open_ = true;
            if (self->winding_up_) self->say_goodbye();
            self->read();
            self->flush();
        });
    }

    void wind_up() override {
        asio::post(stream_.get_executor(), [self = shared_from_this()] {
            self->winding_up_ = true;
            if (!self->writing_ && self->lanes_->idle()) self->say_goodbye();
        });
    }
    void abort() override {
        asio::post(stream_.get_executor(), [self = shared_from_this()] { self->end(); });
    }

  private:
    void configure(const std::string& request_id) {
        const std::chrono::milliseconds idle(api_.config.idle_timeout_ms);
        // Half of the idle time-out passes, then a ping; whoever does not answer is gone.
        stream_.set_option(websocket::stream_base::timeout{
            std::chrono::milliseconds(api_.config.read_timeout_ms), idle, true});
        stream_.set_option(websocket::stream_base::decorator(
            [request_id](websocket::response_type& response) { response.set("X-Request-Id", request_id); }));
        stream_.read_message_max(api_.config.max_body_bytes);
        stream_.text(true);
    }

    void read() {
        reading_ = true;
        stream_.async_read(buffer_, [self = shared_from_this()](error_code error, std::size_t) {
            self->reading_ = false;
            if (error) return self->end();
            const auto data = self->buffer_.cdata();
            self->lanes_->receive({static_cast<const char*>(data.data()), data.size()});
            self->buffer_.consume(self->buffer_.size());
            self->flush();
            self->read_on();
        });
    }

    void read_on() {
        if (open_ && !reading_ && lanes_->unsent_replies() < kMaxUnsentReplies) read();
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

    void say_goodbye() {
        if (!std::exchange(open_, false)) return;
        stream_.async_close(websocket::close_code::going_away,
                            [self = shared_from_this()](error_code) { self->end(); });
    }

    void end() {
        open_ = false;
        lanes_->close();
        stream_.next_layer().close();
    }

    websocket::stream<Stream> stream_;
    Api& api_;
    Connections::Slot slot_;
    http::request<http::string_body> upgrade_;
    std::shared_ptr<ResponseLanes> lanes_;
    boost::beast::flat_buffer buffer_;
    std::vector<std::string> unsent_;  // messages of one produce()
    std::size_t next_ = 0;             // of them, the one being written
    bool open_ = false, reading_ = false, writing_ = false, winding_up_ = false;
};

}  // namespace

void serve_websocket(Stream stream, http::request<http::string_body> upgrade, HttpRequest request, Api& api,
                     Connections::Slot slot) {
    std::make_shared<WebSocketSession>(std::move(stream), api, std::move(slot))
        ->start(std::move(upgrade), request);
}

}  // namespace troupe::net
