#include "net/server.hpp"

#include <spdlog/spdlog.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <chrono>
#include <thread>
#include <vector>

#include "net/api.hpp"
#include "net/connections.hpp"
#include "net/http_session.hpp"

namespace troupe::net {
namespace asio = boost::asio;
using tcp = asio::ip::tcp;

namespace {

constexpr auto kAcceptRetry = std::chrono::milliseconds(100);
constexpr auto kStopPatience = std::chrono::seconds(2);
constexpr std::uint64_t kRefusalsAtOnce = 64;
constexpr std::uint64_t kBodiesAtOnce = 64;  // of the largest size

std::int64_t system_seconds() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::seconds>(now).count();
}

}  // namespace

struct Server::State {
    State(const ServerConfig& c, ClientPort& port, ServerHooks hooks)
        : config(c),
          api{config,
              port,
              hooks.clock ? std::move(hooks.clock) : system_seconds,
              hooks.log ? std::move(hooks.log) : spdlog_sink(false),
              [this] { return connections.count(); },
              {},
              BodyBudget(kBodiesAtOnce * c.max_body_bytes)} {}

    Result<std::uint16_t> listen() {
        boost::system::error_code error;
        tcp::resolver resolver(io);
        const auto found =
            resolver.resolve(config.host, std::to_string(config.port), tcp::resolver::passive, error);
        const std::string address = config.host + ":" + std::to_string(config.port);
        if (error || found.empty()) {
            return invalid_argument(
                "cannot listen on " + address + ": no such address (" + error.message() + ")", "--host");
        }
        const tcp::endpoint endpoint = *found.begin();
        acceptor.open(endpoint.protocol(), error);
        if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
        if (!error) acceptor.bind(endpoint, error);
        if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
        if (error == asio::error::address_in_use) {
            return invalid_argument("port " + std::to_string(config.port) + " on " + config.host +
                                        " is taken by another program: stop it or choose another --port",
                                    "--port");
        }
        if (error) return invalid_argument("cannot listen on " + address + ": " + error.message(), "--host");
        return acceptor.local_endpoint().port();
    }

    void accept() {
        acceptor.async_accept(
            asio::make_strand(io), [this](boost::system::error_code error, tcp::socket socket) {
                if (error == asio::error::operation_aborted || !acceptor.is_open()) return;
                if (error) {  // out of file descriptors, most likely: others must close first
                    spdlog::warn("accepting a connection failed: {}", error.message());
                    retry.expires_after(kAcceptRetry);
                    retry.async_wait([this](boost::system::error_code cancelled) {
                        if (!cancelled) accept();
                    });
                    return;
                }
                welcome(std::move(socket));
                accept();
            });
    }

    void welcome(tcp::socket socket) {
        boost::system::error_code ignored;
        socket.set_option(tcp::no_delay(true), ignored);
        const std::uint64_t open = connections.count();
        if (open >= config.max_connections + kRefusalsAtOnce) return;  // closes it: no room even to say so
        if (open >= config.max_connections) return refuse_http(std::move(socket), api, connections.open());
        serve_http(std::move(socket), api, connections.open());
    }

    const ServerConfig config;
    Connections connections;  // before what holds slots in it
    Api api;
    asio::io_context io;
    tcp::acceptor acceptor{asio::make_strand(io)};
    asio::steady_timer retry{acceptor.get_executor()};
    std::vector<std::thread> threads;
    bool stopped = false;
};

Server::Server(const ServerConfig& config, ClientPort& port, ServerHooks hooks)
    : state_(std::make_unique<State>(config, port, std::move(hooks))) {}

Server::~Server() { stop(); }

Result<std::uint16_t> Server::start() {
    auto port = state_->listen();
    if (!port) return port;
    state_->accept();
    for (std::uint32_t i = 0; i < std::max(1U, state_->config.io_threads); ++i) {
        state_->threads.emplace_back([io = &state_->io] {
            const auto busy = asio::make_work_guard(*io);
            io->run();
        });
    }
    return port;
}

void Server::stop_accepting() {
    asio::post(state_->acceptor.get_executor(), [state = state_.get()] {
        boost::system::error_code ignored;
        state->acceptor.close(ignored);
        state->retry.cancel();
    });
}

void Server::stop() {
    if (std::exchange(state_->stopped, true)) return;
    stop_accepting();
    if (state_->threads.empty()) return;
    state_->connections.wind_up_all();
    // Actors may be delivering to connections: none must be left when the context goes away.
    if (!state_->connections.wait_until_none(kStopPatience)) {
        state_->connections.abort_all();
        state_->connections.wait_until_none(kStopPatience);
    }
    state_->io.stop();
    for (std::thread& thread : state_->threads) thread.join();
}

}  // namespace troupe::net
