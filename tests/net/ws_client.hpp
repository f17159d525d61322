// A WebSocket client for tests; every read gives up after five seconds.
#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <chrono>
#include <string>

namespace troupe::net {

class WsClient {
  public:
    explicit WsClient(std::uint16_t port, const std::string& path = "/v1/responses",
                      const std::string& key = {})
        : stream_(io_) {
        stream_.read_message_max(0);
        stream_.next_layer().connect({boost::asio::ip::address_v4::loopback(), port});
        stream_.set_option(boost::beast::websocket::stream_base::decorator([key](auto& request) {
            if (!key.empty()) request.set("Authorization", "Bearer " + key);
        }));
        boost::beast::websocket::response_type response;
        stream_.handshake(response, "test", path, handshake_error);
        status = static_cast<int>(response.result_int());
    }

    void send(const std::string& message) { stream_.write(boost::asio::buffer(message), last_error); }

    // Text frames, unless told otherwise.
    void binary(bool on) { stream_.binary(on); }
    // The beginning of a message that never ends.
    void send_part(const std::string& part) {
        stream_.write_some(false, boost::asio::buffer(part), last_error);
    }

    // The next message; empty at the end of the connection or of patience.
    std::string read() {
        boost::beast::flat_buffer buffer;
        bool done = false;
        stream_.async_read(buffer, [&](boost::beast::error_code error, std::size_t) {
            done = true;
            last_error = error;
        });
        io_.restart();
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
        while (!done && std::chrono::steady_clock::now() < deadline)
            io_.run_one_for(std::chrono::milliseconds(50));
        if (!done) {
            stream_.next_layer().close();
            io_.run();
            return {};
        }
        return last_error ? std::string() : boost::beast::buffers_to_string(buffer.data());
    }

    int close_code() const { return stream_.reason().code; }

    void cut() { stream_.next_layer().close(); }

    boost::beast::error_code handshake_error, last_error;
    int status = 0;

  private:
    boost::asio::io_context io_;
    boost::beast::websocket::stream<boost::asio::ip::tcp::socket> stream_;
};

}  // namespace troupe::net
