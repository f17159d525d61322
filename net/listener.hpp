// Where connections come from: a TCP address, or a Unix socket (--uds).
#pragma once
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/io_context.hpp>
#include <string>

#include "conf/config.hpp"
#include "core/status.hpp"
#include "net/stream.hpp"

namespace troupe::net {

using Acceptor = boost::asio::basic_socket_acceptor<boost::asio::generic::stream_protocol>;

class Listener {
  public:
    // On a strand of its own.
    explicit Listener(boost::asio::io_context& io);
    ~Listener() { remove_file(); }
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

    // Binds and listens. A file that a dead server left behind at the Unix socket's path is replaced.
    Status open(const ServerConfig& config);

    Acceptor& acceptor() { return acceptor_; }
    std::uint16_t port() const;  // 0 for a Unix socket

    // Nothing is accepted any more, and the Unix socket's file goes.
    void close();

  private:
    Status open_tcp(const ServerConfig& config);
    Status open_unix(const ServerConfig& config);
    void remove_file();

    Acceptor acceptor_;
    std::string file_;  // of the Unix socket that we made
};

// What connections are counted by: the client's IPv4 address, the /64 network of its IPv6 address; empty for
// a Unix socket.
std::string client_network(const Socket& socket);

}  // namespace troupe::net
