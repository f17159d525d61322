// The HTTP and WebSocket server: its own threads, everything else behind the client port. Start,
// stop_accepting and stop belong to one thread; the port and the hooks must outlive the server.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>

#include "actors/client_port.hpp"
#include "conf/config.hpp"
#include "core/status.hpp"
#include "net/request_log.hpp"

namespace troupe::net {

struct ServerHooks {
    std::function<std::int64_t()> clock;  // Unix seconds; absent: the system's
    LogSink log;                          // one call per request; absent: spdlog, text
    std::function<Status()> reload;       // what else is read anew; any thread; absent: nothing
};

class Server {
  public:
    Server(const ServerConfig& config, ClientPort& port, ServerHooks hooks = {});
    ~Server();  // stops
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    // Binds, listens and runs config.io_threads threads. Returns the port (config.port 0: any free one), 0
    // for a Unix socket.
    Result<std::uint16_t> start();

    // Reads --api-key-file and the certificate anew, for the requests and connections that come from here on,
    // and calls the hook; after an error everything stays as it was. Any thread.
    Status reload();

    // New connections are refused by the system; open ones go on.
    void stop_accepting();

    // Stops accepting, lets what is being sent out go out (at most two seconds), closes the rest.
    void stop();

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace troupe::net
