#include "net/stream.hpp"

namespace troupe::net {
namespace {

namespace asio = boost::asio;
using boost::beast::error_code;

class PlainTransport final : public Transport {
  public:
    explicit PlainTransport(Socket socket) : socket_(std::move(socket)) {}

    asio::any_io_executor executor() override { return socket_.get_executor(); }
    void handshake(IoHandler done) override {
        asio::post(socket_.get_executor(), [done = std::move(done)]() mutable { done({}, 0); });
    }
    void read_some(asio::mutable_buffer into, IoHandler done) override {
        socket_.async_read_some(into, std::move(done));
    }
    void write_some(const WriteBuffers& from, IoHandler done) override {
        socket_.async_write_some(from, std::move(done));
    }
    void cancel() override {
        error_code ignored;
        socket_.cancel(ignored);
    }
    void shutdown_send() override {
        error_code ignored;
        socket_.shutdown(Socket::shutdown_send, ignored);
    }
    void close() override {
        error_code ignored;
        socket_.close(ignored);
    }

  private:
    Socket socket_;
};

// What a peer sends after we have said the end: nobody wants it.
struct Rest {
    explicit Rest(IoHandler d) : done(std::move(d)) {}
    std::array<char, 1024> bytes{};
    IoHandler done;
};

void read_to_end(Transport& transport, const std::shared_ptr<Rest>& rest) {
    transport.read_some(asio::buffer(rest->bytes),
                        IoHandler([&transport, rest](error_code error, std::size_t) {
                            if (!error) return read_to_end(transport, rest);
                            rest->done(error == asio::error::eof ? error_code() : error, 0);
                        }));
}

}  // namespace

Stream::Stream(Socket socket, TlsContextPtr context)
    : transport_(context ? tls_transport(std::move(socket), std::move(context))
                         : std::make_unique<PlainTransport>(std::move(socket))) {}

void Stream::finish(IoHandler done) {
    shutdown_send();
    read_to_end(*transport_, std::make_shared<Rest>(std::move(done)));
}

}  // namespace troupe::net
