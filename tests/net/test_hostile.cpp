// Many clients that misbehave at the same time: each costs itself its connection, and the others nothing.
// tests/bench/hostile.py is the large version of this, against a model.
#include <chrono>
#include <thread>

#include "tests/net/fixture.hpp"
#include "tests/net/ws_client.hpp"

using namespace troupe;
using namespace troupe::net;

namespace {

using Clients = std::vector<std::unique_ptr<TestClient>>;

Clients connect(const Fixture& fixture, int count) {
    Clients clients;
    for (int i = 0; i < count; ++i) clients.push_back(std::make_unique<TestClient>(fixture.number));
    return clients;
}

const std::string kStream = R"({"prompt":"x","stream":true})";

// A well-behaved client's whole stream.
void check_served(const Fixture& fixture) {
    TestClient client = fixture.client();
    const Answer answer = client.post("/v1/completions", kStream);
    CHECK(answer.status == 200);
    CHECK(sse_data(answer.body).back() == "[DONE]");
}

// Waits until the connection that asks is the only one.
bool alone(const Fixture& fixture) {
    for (int i = 0; i < 2000; ++i) {
        const std::string metrics = fixture.get("/metrics").body;
        const std::size_t begin = metrics.find("\ntroupe:open_connections") + 1;
        if (metrics.substr(begin, metrics.find('\n', begin) - begin).ends_with(" 1")) return true;
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return false;
}

}  // namespace

TEST_CASE("200 slow-loris connections: others are served, and they are sent away") {
    Fixture fixture([](ServerConfig& config) { config.read_timeout_ms = 500; });
    fixture.port.on_submit = FakePort::script({"one", " two"});
    Clients slow = connect(fixture, 200);
    for (int round = 0; round < 3; ++round) {
        for (auto& client : slow) client->send(round == 0 ? "POST /v1/completions HTTP/1.1\r\nX: " : "x");
        check_served(fixture);
    }
    for (auto& client : slow) CHECK(client->read_answer().status == 408);
    slow.clear();
    CHECK(alone(fixture));
}

TEST_CASE("Floods of cancels leave nothing behind") {
    Fixture fixture;
    SECTION("dropped before, in the middle of and after the request") {
        const std::string request = http_request("POST", "/v1/completions", kStream);
        for (std::size_t i = 0; i < 300; ++i) {
            TestClient client = fixture.client();
            client.send(request.substr(0, i % 3 == 0 ? 0 : i % 3 == 1 ? request.size() / 2 : request.size()));
            i % 2 == 0 ? client.cut() : client.reset();
        }
    }
    SECTION("half-closed, and nothing is read") {
        Clients clients = connect(fixture, 200);
        for (auto& client : clients) {
            client->send(http_request("POST", "/v1/completions", kStream));
            client->half_close();
        }
        for (std::size_t i = 0; i < clients.size(); ++i) {
            const std::string id = fixture.port.submitted(i);
            REQUIRE_FALSE(id.empty());
            CHECK(fixture.port.wait_for_detach(id));
        }
    }
    SECTION("WebSockets") {
        for (int i = 0; i < 20; ++i) {
            WsClient client(fixture.number);
            for (int lane = 0; lane < 50; ++lane) {
                client.send(R"({"type":"response.create","store":false,"input":"x","stream_id":")" +
                            std::to_string(lane) + "\"}");
            }
            client.cut();
        }
    }
    CHECK(alone(fixture));
    fixture.port.on_submit = FakePort::script({"one"});
    check_served(fixture);
}

TEST_CASE("A thousand requests at once are all answered") {
    Fixture fixture;
    Clients clients = connect(fixture, 1000);
    for (auto& client : clients) client->send(http_request("POST", "/v1/completions", R"({"prompt":"x"})"));
    for (std::size_t i = 0; i < clients.size(); ++i) {
        const std::string id = fixture.port.submitted(i);
        REQUIRE_FALSE(id.empty());
        fixture.port.start(id);
        fixture.port.text(id, "y");
        fixture.port.finish(id, FinishReason::stop);
    }
    for (auto& client : clients) CHECK(string_at(client->read_answer().body, "/choices/0/text") == "y");
}

TEST_CASE("Bodies larger than is allowed are cut off early, however they come") {
    Fixture fixture;
    fixture.port.on_submit = FakePort::script({"one"});
    const std::string piece(1 << 20, 'x');
    for (const bool chunked : {false, true}) {
        CAPTURE(chunked);
        TestClient client = fixture.client();
        client.send(std::string("POST /v1/completions HTTP/1.1\r\nHost: x\r\n") +
                    (chunked ? "Transfer-Encoding: chunked\r\n\r\n" : "Content-Length: 67108864\r\n\r\n"));
        for (int i = 0; i < 12; ++i) client.send(chunked ? "100000\r\n" + piece + "\r\n" : piece);
        CHECK(client.read_answer().status == 413);
        check_served(fixture);
    }
    CHECK(alone(fixture));
}
