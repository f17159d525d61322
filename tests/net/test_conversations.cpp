// Conversations over WebSockets: continued, forked, prepared with generate: false, not stored.
#include <map>

#include "net/recent_responses.hpp"
#include "tests/net/ws_events.hpp"

using namespace troupe;
using namespace troupe::net;

TEST_CASE("generate: false computes the prompt, has no output, and is a place to go on from") {
    Fixture fixture;
    fixture.port.on_submit = FakePort::script({"x", "y"});
    WsClient client(fixture.number);
    client.send(create("a", "context", R"(,"generate":false)"));
    const auto events = read_to_end(client);
    REQUIRE(events.size() == 3);
    CHECK(string_at(events[2], "/type") == "response.completed");
    CHECK(at(events[2], "/sequence_number") == "2");
    CHECK(at(events[2], "/response/output") == "[]");
    CHECK(at(events[2], "/response/usage/output_tokens") == "0");
    const std::string id = string_at(events[2], "/response/id");
    CHECK(fixture.port.generation(id).request.sampling.max_tokens == 1U);
    CHECK(at(fixture.get("/v1/responses/" + id).body, "/output") == "[]");
    client.send(create("b", "question", after(id)));
    CHECK(text_of(read_to_end(client)) == "xy");
    CHECK(messages_of(fixture.port, 1) ==
          R"([{"role":"user","content":"context"},{"role":"user","content":"question"}])");
    // Over HTTP too.
    const Answer answer = fixture.post("/v1/responses", R"({"input":"x","generate":false})");
    CHECK(string_at(answer.body, "/status") == "completed");
    CHECK(at(answer.body, "/output") == "[]");
}

TEST_CASE("Several forks of one response run at the same time, over WebSocket and HTTP") {
    Fixture fixture;
    fixture.port.on_submit = FakePort::script({"answer"});
    WsClient client(fixture.number);
    client.send(create("", "question"));
    const std::string id = string_at(read_to_end(client).back(), "/response/id");
    fixture.port.on_submit = {};
    for (const char* lane : {"a", "b", "c"})
        client.send(create(lane, std::string("fork ") + lane, after(id)));
    std::map<std::string, std::string> prompts;
    for (std::size_t n = 1; n <= 3; ++n) prompts[fixture.port.submitted(n)] = messages_of(fixture.port, n);
    CHECK(prompts.size() == 3);  // none has waited for another
    for (const auto& [fork, prompt] : prompts) {
        CHECK(has(prompt, R"({"role":"assistant","content":"answer"},{"role":"user","content":"fork )"));
        FakePort::script({"x"})(fixture.port, fixture.port.generation(fork).request);
        CHECK(text_of(read_to_end(client)) == "x");
    }
    fixture.port.on_submit = FakePort::script({"y"});
    const Answer over_http =
        fixture.post("/v1/responses", R"({"input":"fork d","previous_response_id":")" + id + "\"}");
    CHECK(over_http.status == 200);
    CHECK(string_at(over_http.body, "/previous_response_id") == id);
}

TEST_CASE("store: false can be continued and forked on its connection, and nowhere else") {
    Fixture fixture;
    fixture.port.on_submit = FakePort::script({"secret"});
    WsClient client(fixture.number);
    client.send(create("a", "question", R"(,"store":false)"));
    const std::string id = string_at(read_to_end(client).back(), "/response/id");
    for (const char* lane : {"a", "b"}) {  // its own lane, and a fork
        client.send(create(lane, "next", R"(,"store":false)" + after(id)));
        const auto events = read_to_end(client);
        CHECK(string_at(events.back(), "/response/previous_response_id") == id);
        CHECK(string_at(events.back(), "/type") == "response.completed");
    }
    CHECK(messages_of(fixture.port, 2) ==
          R"([{"role":"user","content":"question"},{"role":"assistant","content":"secret"},)"
          R"({"role":"user","content":"next"}])");
    WsClient other(fixture.number);
    other.send(create("a", "x", after(id)));
    CHECK(string_at(other.read(), "/error/code") == "previous_response_not_found");
    CHECK(fixture.get("/v1/responses/" + id).status == 404);
    CHECK(fixture.post("/v1/responses", R"({"input":"x")" + after(id) + "}").status == 400);
    other.send(R"({"type":"response.resume","response_id":")" + id + "\"}");
    CHECK(string_at(other.read(), "/error/code") == "response_not_found");
}

TEST_CASE("A response that still runs cannot be continued yet") {
    Fixture fixture;
    WsClient client(fixture.number);
    client.send(create("a", "question"));
    const std::string id = fixture.port.submitted(0);
    fixture.port.start(id);
    client.send(create("b", "next", after(id)));
    const std::string error = read_until(client, "error");
    CHECK(string_at(error, "/error/code") == "previous_response_not_completed");
    CHECK(string_at(error, "/stream_id") == "b");
}

TEST_CASE("What a connection remembers of its responses is bounded") {
    RecentResponses recent(3, 100);
    const auto add = [&](const std::string& id, std::size_t bytes) {
        RecentResponse one{id, {}, 0, GenerationSnapshot()};
        one.state->output.text.assign(bytes, 'x');
        recent.add(std::move(one));
    };
    for (const char* id : {"1", "2", "3", "4"}) add(id, 10);
    CHECK(recent.find("1") == nullptr);
    CHECK(recent.find("2") != nullptr);
    add("5", 75);
    CHECK(recent.find("2") == nullptr);
    CHECK(recent.find("3") != nullptr);  // 95 bytes are left
    add("6", 20);
    CHECK(recent.find("4") == nullptr);  // two are left, of 95 bytes
    CHECK(recent.find("5") != nullptr);
    add("7", 500);  // the newest stays, whatever its size
    CHECK(recent.find("6") == nullptr);
    CHECK(recent.find("7") != nullptr);
}
