#include "net/listener.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/strand.hpp>

namespace troupe::net {
namespace {

namespace asio = boost::asio;
using asio::generic::stream_protocol;
using boost::system::error_code;

// Whether a server lives behind the socket at this path.
bool answers(const std::string& path) {
    asio::io_context io;
    asio::local::stream_protocol::socket probe(io);
    error_code error;
    probe.connect(asio::local::stream_protocol::endpoint(path), error);
    return !error;
}

Status make_room(const std::string& path) {
    struct stat found {};
    if (::lstat(path.c_str(), &found) != 0) return {};
    if (!S_ISSOCK(found.st_mode)) {
        return invalid_argument("--uds: " + path + " is there and is no socket; choose another path",
                                "--uds");
    }
    if (answers(path)) {
        return invalid_argument(
            "--uds: another program listens on " + path + "; stop it or choose another path", "--uds");
    }
    ::unlink(path.c_str());  // its server is gone
    return {};
}

}  // namespace

Listener::Listener(asio::io_context& io) : acceptor_(asio::make_strand(io)) {}

Status Listener::open(const ServerConfig& config) {
    return config.uds.empty() ? open_tcp(config) : open_unix(config);
}

Status Listener::open_tcp(const ServerConfig& config) {
    error_code error;
    asio::ip::tcp::resolver resolver(acceptor_.get_executor());
    const auto found =
        resolver.resolve(config.host, std::to_string(config.port), asio::ip::tcp::resolver::passive, error);
    const std::string address = config.host + ":" + std::to_string(config.port);
    if (error || found.empty()) {
        return invalid_argument("cannot listen on " + address + ": no such address (" + error.message() + ")",
                                "--host");
    }
    const asio::ip::tcp::endpoint endpoint = *found.begin();
    acceptor_.open(stream_protocol(endpoint.protocol()), error);
    if (!error) acceptor_.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) acceptor_.bind(stream_protocol::endpoint(endpoint), error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error == asio::error::address_in_use) {
        return invalid_argument("port " + std::to_string(config.port) + " on " + config.host +
                                    " is taken by another program: stop it or choose another --port",
                                "--port");
    }
    if (error) return invalid_argument("cannot listen on " + address + ": " + error.message(), "--host");
    return {};
}

Status Listener::open_unix(const ServerConfig& config) {
    const std::string& path = config.uds;
    constexpr std::size_t longest = sizeof(sockaddr_un::sun_path) - 1;
    if (path.size() > longest) {
        return invalid_argument(
            "--uds: a path of at most " + std::to_string(longest) + " bytes is allowed, got " + path,
            "--uds");
    }
    if (const Status room = make_room(path); !room) return room;
    error_code error;
    acceptor_.open(stream_protocol(asio::local::stream_protocol()), error);
    // Linux gives the file the permissions of the descriptor, so that nobody gets in before chmod.
    if (!error) ::fchmod(acceptor_.native_handle(), S_IRUSR | S_IWUSR);
    if (!error)
        acceptor_.bind(stream_protocol::endpoint(asio::local::stream_protocol::endpoint(path)), error);
    if (!error) file_ = path;
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (!error && ::chmod(path.c_str(), config.uds_mode) != 0)
        error.assign(errno, boost::system::system_category());
    if (error) return invalid_argument("--uds: cannot listen on " + path + ": " + error.message(), "--uds");
    return {};
}

std::uint16_t Listener::port() const {
    error_code error;
    const auto endpoint = acceptor_.local_endpoint(error);
    const auto* address = reinterpret_cast<const sockaddr*>(endpoint.data());
    if (error) return 0;
    if (address->sa_family == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in*>(address)->sin_port);
    if (address->sa_family == AF_INET6)
        return ntohs(reinterpret_cast<const sockaddr_in6*>(address)->sin6_port);
    return 0;
}

void Listener::close() {
    error_code ignored;
    acceptor_.close(ignored);
    remove_file();
}

void Listener::remove_file() {
    if (!file_.empty()) ::unlink(std::exchange(file_, {}).c_str());
}

std::string client_network(const Socket& socket) {
    error_code error;
    const auto endpoint = socket.remote_endpoint(error);
    const auto* address = reinterpret_cast<const sockaddr*>(endpoint.data());
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (error) return {};
    if (address->sa_family == AF_INET) {
        ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(address)->sin_addr, text.data(),
                    text.size());
    } else if (address->sa_family == AF_INET6) {
        in6_addr network = reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr;
        const bool holds_ipv4 = IN6_IS_ADDR_V4MAPPED(&network);
        if (!holds_ipv4)
            std::fill(std::begin(network.s6_addr) + 8, std::end(network.s6_addr), std::uint8_t{0});
        ::inet_ntop(AF_INET6, &network, text.data(), text.size());
    }
    return text.data();
}

}  // namespace troupe::net
