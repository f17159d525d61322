// `troupe serve`
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>

#include "apps/access_log.hpp"
#include "apps/allocator.hpp"
#include "apps/commands.hpp"
#include "apps/console.hpp"
#include "apps/local_troupe.hpp"
#include "apps/logging.hpp"
#include "apps/open_files.hpp"
#include "apps/signals.hpp"
#include "conf/flags.hpp"
#include "net/request_log.hpp"
#include "net/server.hpp"

namespace troupe {
namespace {

using Clock = std::chrono::steady_clock;

// Set by the actors' threads, which then wake the main thread.
struct Flags {
    std::atomic<bool> gave_up{false};
    std::atomic<bool> drained{false};
};

bool is_loopback(const std::string& host) {
    return host.starts_with("127.") || host == "::1" || host == "localhost";
}

// An IPv6 address goes into brackets.
std::string url_of(const ServerConfig& config, std::uint16_t port) {
    const std::string scheme = config.ssl_certfile.empty() ? "http" : "https";
    if (!config.uds.empty()) return scheme + "+unix://" + config.uds;
    const bool ipv6 = config.host.find(':') != std::string::npos;
    return scheme + "://" + (ipv6 ? "[" + config.host + "]" : config.host) + ":" + std::to_string(port) +
           "/v1";
}

std::string names_of(const LocalTroupe& troupe) {
    std::string names;
    for (const LocalModel& model : troupe.models) {
        names += (names.empty() ? "" : ", ") + model.name;
        for (const std::string& alias : model.aliases) names += ", " + alias;
    }
    return names;
}

// SIGHUP: the key file, the certificate and the access log anew. Without any of them it ends a server whose
// terminal has gone, as it does other programs; one without a terminal lives on.
bool reload(const Config& config, const SignalGate& gate, net::Server& server, const AccessLog& access_log) {
    const bool keeps_files =
        !config.server.api_key_file.empty() || !config.server.ssl_certfile.empty() || access_log.is_file();
    if (!keeps_files && gate.ends_with_terminal()) return false;
    if (const auto status = server.reload(); status) {
        spdlog::info("SIGHUP: keys, certificate and access log are read anew");
    } else {
        spdlog::error("SIGHUP: nothing is changed: {}", status.error().message);
    }
    return true;
}

// Until SIGTERM or SIGINT, or until there will be no worker any more. `on_hangup` says whether SIGHUP is no
// end.
void wait_for_the_end(const SignalGate& gate, const Flags& flags, const ClientPort& port,
                      Clock::time_point begin, const std::function<bool()>& on_hangup) {
    constexpr auto poll = std::chrono::milliseconds(5);
    while (port.state() == ServerState::loading) {
        if (flags.gave_up) return;
        const auto signal = gate.wait_for(poll);
        if (signal && *signal != SignalGate::woken && !(*signal == SIGHUP && on_hangup())) return;
    }
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    if (port.state() == ServerState::ready) {
        spdlog::info("ready after {:.2f} s", seconds);
    } else {
        spdlog::warn("not every model is ready after {:.2f} s; GET /ready names those that are not", seconds);
    }
    while (!flags.gave_up) {
        const int signal = gate.wait();
        if (signal != SignalGate::woken && !(signal == SIGHUP && on_hangup())) return;
    }
}

// Running requests finish, new ones are refused. False if the time for that was over first, or if there is no
// worker any more that could finish them.
bool drain(const SignalGate& gate, const std::shared_ptr<Flags>& flags, ClientPort& port,
           std::chrono::milliseconds patience) {
    spdlog::info("draining: running requests finish, new ones are refused; a second signal exits at once");
    port.drain([flags] {
        flags->drained = true;
        SignalGate::wake();
    });
    const auto end = Clock::now() + patience;
    while (!flags->drained && !flags->gave_up) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
        if (left.count() <= 0) return false;
        const auto signal = gate.wait_for(left);
        if (signal == SIGINT || signal == SIGTERM) std::_Exit(128 + *signal);
    }
    return flags->drained && !flags->gave_up;
}

// Their clients are told why they get no more.
void abort_requests(ClientPort& port, bool gave_up) {
    if (!gave_up) spdlog::warn("--drain-timeout is over; the requests that still ran are cut off");
    const char* why = gave_up
                          ? "The server has no worker any more and ends; try another one."
                          : "The server ended before this request did (--drain-timeout); try another one.";
    port.abort({ErrorCode::unavailable, why, {}, {}});
}

int run_server(const Config& config, const SignalGate& gate, LocalTroupe& troupe,
               const std::shared_ptr<Flags>& flags, Clock::time_point begin) {
    ClientPort& port = troupe.system->port();
    auto access_log = AccessLog::open(config.log);
    if (!access_log) return report(access_log.error());
    net::Server server(config.server, port, {.clock = {}, .log = access_log->sink(), .reload = [&] {
                                                 return access_log->reopen();
                                             }});
    const auto bound = server.start();
    if (!bound) return report(bound.error());
    spdlog::info("serving {} on {}", names_of(troupe), url_of(config.server, *bound));
    const bool any_key = !config.server.api_key.empty() || !config.server.api_key_file.empty();
    if (config.server.uds.empty() && !is_loopback(config.server.host) && !any_key) {
        spdlog::warn("anyone who reaches {} can use this server: set --api-key or --api-key-file",
                     config.server.host);
    }
    wait_for_the_end(gate, *flags, port, begin, [&] { return reload(config, gate, server, *access_log); });
    const std::chrono::milliseconds patience(config.server.drain_timeout_ms);
    const bool drained = !flags->gave_up && drain(gate, flags, port, patience);
    if (!drained) abort_requests(port, flags->gave_up);
    const ExitOnSignal stopping(gate);  // a plug-in that never returns could be waited for
    server.stop();                      // what still has something to send is given a moment for it
    troupe.system.reset();              // before the server goes: the actors' last answers are posted to it
    spdlog::info("stopped");
    return drained ? 0 : exit_failure;
}

int serve(const ConfigFlags& config_flags) {
    const Clock::time_point begin = Clock::now();
    const auto config = config_flags.load();
    if (!config) return report(config.error());
    set_up_logging(config->log);
    raise_open_file_limit();
    return_large_buffers();
    std::signal(SIGPIPE, SIG_IGN);  // a client that goes away is no reason to end
    std::signal(SIGXFSZ, SIG_IGN);  // nor is a limit of file sizes: swapping goes on without the file
    const SignalGate gate;
    std::optional<ExitOnSignal> loading(gate);
    const auto flags = std::make_shared<Flags>();
    auto troupe = start_local_troupe(*config, [flags](const std::string& why) {
        spdlog::critical("giving up: {}", why);
        flags->gave_up = true;
        SignalGate::wake();
    });
    loading.reset();
    if (!troupe) return report(troupe.error());
    for (const LocalModel& model : troupe->models)
        spdlog::info("{}", describe_kv(model, config->engine.block_size));
    return run_server(*config, gate, *troupe, flags, begin);
}

}  // namespace

Command serve_command(CLI::App& program) {
    CLI::App* parser =
        program.add_subcommand("serve", "Serve a model over the OpenAI API (HTTP, SSE, WebSocket)");
    const auto config = std::make_shared<ConfigFlags>();
    config->add_to(*parser, {"model", "engine", "policy", "server", "supervision", "log"});
    parser->footer(
        "Examples:\n"
        "  troupe serve\n"
        "  troupe serve --model llama.gguf --host 0.0.0.0 --port 9000 --kv-memory 4GiB\n"
        "  troupe serve --model small=smollm.gguf --model large=llama.gguf\n"
        "  TROUPE_API_KEY=secret troupe serve --config troupe.toml\n"
        "SIGTERM and Ctrl-C drain: running requests finish, new ones get 503. A second one ends at once.\n"
        "SIGHUP reads the key file and the certificate anew, and opens the access log anew.\n");
    return {parser, [config] { return serve(*config); }};
}

}  // namespace troupe
