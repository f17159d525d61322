// The server over a fake port that answers every request with counted words, one every few milliseconds: the
// clients' tests and load generators can be tried without a model. Usage: fake_server [--port N]
// [--interval-us N] [--max-connections N]
// [--stamps 1]: words are the nanoseconds of the monotonic clock when they were made. [--say TEXT]: that is
// the answer instead, three bytes at a time, as of a model that begins in its thoughts.
#include <csignal>
#include <cstdio>
#include <cstring>
#include <deque>
#include <thread>

#include "net/server.hpp"
#include "tests/net/fake_port.hpp"

namespace {

using namespace troupe;

struct Running {
    std::string id;
    std::uint32_t words = 0, limit = 0;
};

const char* text_of(int argc, char** argv, const char* flag) {
    for (int i = 1; i + 1 < argc; ++i) {
        if (std::strcmp(argv[i], flag) == 0) return argv[i + 1];
    }
    return "";
}

std::uint32_t value_of(int argc, char** argv, const char* flag, std::uint32_t fallback) {
    const char* text = text_of(argc, argv, flag);
    return *text == '\0' ? fallback : static_cast<std::uint32_t>(std::atoi(text));
}

volatile std::sig_atomic_t stop_requested = 0;

}  // namespace

int main(int argc, char** argv) {
    net::FakePort port;
    std::mutex mutex;
    std::deque<Running> arrived;
    port.on_submit = [&](net::FakePort&, const GenerationRequest& request) {
        const std::lock_guard lock(mutex);
        arrived.push_back({request.id, 0, request.sampling.max_tokens.value_or(20)});
    };
    ServerConfig config;
    config.port = static_cast<std::uint16_t>(value_of(argc, argv, "--port", 8000));
    config.max_connections = value_of(argc, argv, "--max-connections", config.max_connections);
    net::Server server(config, port);
    auto started = server.start();
    if (!started) {
        std::fprintf(stderr, "%s\n", started.error().message.c_str());
        return 1;
    }
    std::printf("fake server on port %u\n", static_cast<unsigned>(*started));
    std::fflush(stdout);
    std::signal(SIGTERM, [](int) { stop_requested = 1; });
    std::signal(SIGINT, [](int) { stop_requested = 1; });
    const auto interval = std::chrono::microseconds(value_of(argc, argv, "--interval-us", 5000));
    const bool stamps = value_of(argc, argv, "--stamps", 0) != 0;
    const std::string said = text_of(argc, argv, "--say");
    std::deque<Running> running;
    while (stop_requested == 0) {
        {
            const std::lock_guard lock(mutex);
            for (Running& one : arrived) {
                port.start(one.id, 3, said.empty() ? Thinking::none : Thinking::inside);
                running.push_back(std::move(one));
            }
            arrived.clear();
        }
        for (Running& one : running) {
            if (!said.empty()) {
                for (std::size_t i = 0; i < said.size(); i += 3) port.text(one.id, said.substr(i, 3));
                port.finish(one.id, FinishReason::stop);
                continue;
            }
            const std::string number =
                stamps ? std::to_string(std::chrono::steady_clock::now().time_since_epoch().count())
                       : "word" + std::to_string(one.words);
            const std::string word = (one.words == 0 ? "" : " ") + number;
            const bool last = ++one.words >= one.limit;
            port.text(one.id, word, last);
            if (last) port.finish(one.id, FinishReason::length);
        }
        std::erase_if(running, [&](const Running& one) { return port.is_finished(one.id); });
        std::this_thread::sleep_for(interval);
    }
    server.stop();
}
