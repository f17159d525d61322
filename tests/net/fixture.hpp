// A running server over a fake port.
#pragma once
#include <mutex>

#include "net/server.hpp"
#include "tests/catch.hpp"
#include "tests/net/fake_port.hpp"
#include "tests/net/test_client.hpp"

namespace troupe::net {

struct Fixture {
    explicit Fixture(const std::function<void(ServerConfig&)>& change = {}) {
        ServerConfig config;
        config.port = 0;
        if (change) change(config);
        ServerHooks hooks;
        hooks.clock = [] { return std::int64_t{1700000001}; };
        hooks.log = [this](const RequestLog& entry) {
            const std::lock_guard lock(mutex);
            log.push_back(entry);
        };
        hooks.reload = [this] {
            ++reloads;
            return on_reload;
        };
        server = std::make_unique<Server>(config, port, std::move(hooks));
        auto started = server->start();
        REQUIRE(started.ok());
        number = *started;
    }

    TestClient client() const { return TestClient(number); }
    Answer get(const std::string& target) const { return client().get(target); }
    Answer post(const std::string& target, const std::string& body) const {
        return client().post(target, body);
    }

    std::vector<RequestLog> logged() {
        const std::lock_guard lock(mutex);
        return log;
    }

    FakePort port;
    std::mutex mutex;
    std::vector<RequestLog> log;
    Status on_reload;                // what the hook answers, before the server is asked to reload
    int reloads = 0;                 // calls of it
    std::unique_ptr<Server> server;  // stopped before the port goes away
    std::uint16_t number = 0;
};

}  // namespace troupe::net
