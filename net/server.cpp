#include "net/server.hpp"

#include <spdlog/spdlog.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <chrono>
#include <thread>
#include <vector>

#include "net/api.hpp"
#include "net/connections.hpp"
#include "net/http_session.hpp"
#include "net/listener.hpp"

namespace troupe::net {
namespace asio = boost::asio;
using tcp = asio::ip::tcp;

namespace {

constexpr auto kAcceptRetry = std::chrono::milliseconds(100);
constexpr auto kLeaseCheck = std::chrono::milliseconds(250);
constexpr auto kStopPatience = std::chrono::seconds(2);
constexpr std::uint64_t kRefusalsAtOnce = 64;

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
              [this, log = hooks.log ? std::move(hooks.log) : spdlog_sink(false)](const RequestLog& entry) {
                  api.stats.answered(entry.status, entry.method == "WS");
                  log(entry);
              },
              [this] { return connections.count(); },
              [this] { return reload(); },
              {},
              BodyBudget(c.max_body_memory),
              {},
              {},
              {}},
          reload_hook(std::move(hooks.reload)) {}

    // A null certificate: plain HTTP.
    Result<TlsContextPtr> certificate() const {
        if (config.ssl_certfile.empty()) return TlsContextPtr();
        return load_tls(config.ssl_certfile, config.ssl_keyfile);
    }

    Status reload() {
        auto keys = ApiKeys::load(config);
        if (!keys) return keys.error();
        auto loaded = certificate();
        if (!loaded) return loaded.error();
        if (auto status = reload_hook ? reload_hook() : Status(); !status) return status;
        api.keys.set(*std::move(keys));
        asio::post(listener.acceptor().get_executor(),
                   [this, context = *std::move(loaded)] { tls = context; });
        return {};
    }

    Result<std::uint16_t> listen() {
        auto keys = ApiKeys::load(config);
        if (!keys) return keys.error();
        api.keys.set(*std::move(keys));
        auto loaded = certificate();
        if (!loaded) return loaded.error();
        tls = *std::move(loaded);
        if (const Status open = listener.open(config); !open) return open.error();
        return listener.port();
    }

    void accept() {
        listener.acceptor().async_accept(
            asio::make_strand(io), [this](boost::system::error_code error, Socket socket) {
                if (error == asio::error::operation_aborted || !listener.acceptor().is_open()) return;
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

    void keep_leases() {
        lease_timer.expires_after(kLeaseCheck);
        lease_timer.async_wait([this](boost::system::error_code cancelled) {
            if (cancelled) return;
            api.leases.check(api.port);
            keep_leases();
        });
    }

    void welcome(Socket socket) {
        boost::system::error_code ignored;
        socket.set_option(tcp::no_delay(true), ignored);  // a Unix socket has no delay
        const std::string address = client_network(socket);
        const std::uint64_t open = connections.count();
        if (open >= config.max_connections + kRefusalsAtOnce) {  // no room even to say so
            api.stats.refused("connections");
            return;
        }
        Stream stream(std::move(socket), tls);
        if (open >= config.max_connections) {
            api.stats.refused("connections");
            return refuse_http(std::move(stream), api, connections.open({}),
                               no_place("all " + std::to_string(config.max_connections) +
                                            " connections are taken (--max-connections)",
                                        "too_many_connections"));
        }
        const std::uint32_t most = config.max_connections_per_address;
        if (most != 0 && !address.empty() && connections.count(address) >= most) {
            api.stats.refused("connections_per_address");
            return refuse_http(std::move(stream), api, connections.open({}),
                               no_place("all " + std::to_string(most) +
                                            " connections of this address are taken "
                                            "(--max-connections-per-address)",
                                        "too_many_connections_of_address"));
        }
        serve_http(std::move(stream), api, connections.open(address));
    }

    static Error no_place(const std::string& what, const char* code) {
        return {ErrorCode::unavailable, what + "; try again later", {}, code};
    }

    const ServerConfig config;
    Connections connections;  // before what holds slots in it
    Api api;
    const std::function<Status()> reload_hook;
    asio::io_context io;
    TlsContextPtr tls;  // null: plain
    Listener listener{io};
    asio::steady_timer retry{listener.acceptor().get_executor()};
    asio::steady_timer lease_timer{listener.acceptor().get_executor()};
    std::vector<std::thread> threads;
    bool stopped = false;
};

Status Server::reload() { return state_->reload(); }

Server::Server(const ServerConfig& config, ClientPort& port, ServerHooks hooks)
    : state_(std::make_unique<State>(config, port, std::move(hooks))) {}

Server::~Server() { stop(); }

Result<std::uint16_t> Server::start() {
    auto port = state_->listen();
    if (!port) return port;
    state_->accept();
    state_->keep_leases();
    for (std::uint32_t i = 0; i < std::max(1U, state_->config.io_threads); ++i) {
        state_->threads.emplace_back([io = &state_->io] {
            const auto busy = asio::make_work_guard(*io);
            io->run();
        });
    }
    return port;
}

void Server::stop_accepting() {
    asio::post(state_->listener.acceptor().get_executor(), [state = state_.get()] {
        state->listener.close();
        state->retry.cancel();
        state->lease_timer.cancel();
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
