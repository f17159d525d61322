// The Responses WebSocket mode over real sockets.
#include <map>
#include <thread>

#include "tests/net/ws_events.hpp"

using namespace troupe;
using namespace troupe::net;

TEST_CASE("A response over a WebSocket has the events of the stream, with its stream_id") {
    Fixture fixture;
    fixture.port.on_submit = FakePort::script({"one", " two"});
    WsClient client(fixture.number);
    client.send(create("a", "x"));
    const auto events = read_to_end(client);
    CHECK(string_at(events.front(), "/type") == "response.created");
    CHECK(string_at(events.back(), "/type") == "response.completed");
    CHECK(at(events.back(), "/sequence_number") == "9");
    CHECK(text_of(events) == "one two");
    for (const std::string& event : events) CHECK(string_at(event, "/stream_id") == "a");
    client.send(create("", "x"));
    for (const std::string& event : read_to_end(client)) CHECK(at(event, "/stream_id").empty());
}

TEST_CASE("Streams run in parallel, requests of one stream in order") {
    Fixture fixture;
    WsClient client(fixture.number);
    client.send(create("a", "first"));
    client.send(create("a", "second"));
    client.send(create("b", "third"));
    const std::string first = fixture.port.submitted(0), third = fixture.port.submitted(1);
    CHECK(has(std::get<ChatPrompt>(*fixture.port.generation(third).request.prompt).variables, "third"));
    fixture.port.start(first);
    fixture.port.start(third);
    fixture.port.text(third, "3");
    fixture.port.finish(third, FinishReason::stop);
    std::map<std::string, std::string> ended;
    while (ended.empty()) {
        const std::string event = client.read();
        REQUIRE_FALSE(event.empty());
        if (is_end(event)) ended[string_at(event, "/stream_id")] = event;
    }
    CHECK(ended.contains("b"));
    fixture.port.finish(first, FinishReason::stop);
    const auto events = read_to_end(client);
    CHECK(string_at(events.back(), "/response/id") == first);
    const std::string second = fixture.port.submitted(2);
    REQUIRE_FALSE(second.empty());
    FakePort::script({"2"})(fixture.port, fixture.port.generation(second).request);
    CHECK(text_of(read_to_end(client)) == "2");
}

TEST_CASE("Errors name the stream and keep the socket open") {
    Fixture fixture;
    fixture.port.on_submit = FakePort::script({"x"});
    WsClient client(fixture.number);
    struct Case {
        std::string message, status, code;
    };
    for (const Case& c : std::vector<Case>{
             {"{", "400", "\"invalid_json\""},
             {"", "400", "null"},
             {"[]", "400", "null"},
             {"\"x\"", "400", "null"},
             {"{}", "400", "null"},
             {R"({"type":7})", "400", "null"},
             {R"({"type":"session.update"})", "400", "\"unknown_event_type\""},
             {create("a", "x", R"(,"generate":"no")"), "400", "null"},
             {create("a", "x", R"(,"background":true)"), "400", "null"},
             {create("a", "x", R"(,"temperature":"hot")"), "400", "null"},
             {create("a", "x", R"(,"model":"other")"), "404", "\"model_not_found\""},
             {create("a", "x", R"(,"previous_response_id":"resp_no")"), "400",
              "\"previous_response_not_found\""},
             {R"({"type":"response.create"})", "400", "null"},
             {R"({"type":"response.create","stream_id":7,"input":"x"})", "400", "\"invalid_stream_id\""},
             {R"({"type":"response.create","stream_id":"a b","input":"x"})", "400", "\"invalid_stream_id\""},
             {R"({"type":"response.create","stream_id":"","input":"x"})", "400", "\"invalid_stream_id\""},
             {R"({"type":"response.create","stream_id":")" + std::string(257, 'a') + R"(","input":"x"})",
              "400", "\"invalid_stream_id\""},
             {R"({"type":"response.cancel"})", "400", "null"},
             {R"({"type":"response.cancel","response_id":"resp_no"})", "404", "\"response_not_found\""},
             {R"({"type":"response.resume","response_id":"resp_no"})", "404", "\"response_not_found\""},
             {R"({"type":"response.resume","response_id":"resp_no","starting_after":-5})", "400", "null"},
             {std::string(200, '['), "400", "\"invalid_json\""},
         }) {
        CAPTURE(c.message);
        client.send(c.message);
        const std::string event = client.read();
        REQUIRE_FALSE(event.empty());
        CHECK(string_at(event, "/type") == "error");
        CHECK(at(event, "/status") == c.status);
        CHECK(at(event, "/error/code") == c.code);
        CHECK_FALSE(string_at(event, "/error/message").empty());
        if (c.message.find(R"("stream_id":"a")") != std::string::npos)
            CHECK(string_at(event, "/stream_id") == "a");
    }
    client.send(create("a", "x"));
    CHECK(text_of(read_to_end(client)) == "x");
}

TEST_CASE("A binary message is an error, and the next one is read") {
    Fixture fixture;
    fixture.port.on_submit = FakePort::script({"x"});
    WsClient client(fixture.number);
    client.binary(true);
    client.send(create("a", "x"));
    const std::string event = client.read();
    CHECK(at(event, "/status") == "400");
    CHECK(string_at(event, "/error/code") == "invalid_message_type");
    client.binary(false);
    client.send(create("a", "x"));
    CHECK(text_of(read_to_end(client)) == "x");
}

TEST_CASE("A message that does not arrive in time ends its connection alone") {
    Fixture fixture([](ServerConfig& config) { config.read_timeout_ms = 100; });
    WsClient client(fixture.number), other(fixture.number);
    client.send_part("{");
    CHECK(client.read().empty());
    CHECK(client.close_code() == boost::beast::websocket::close_code::policy_error);
    other.send("{");
    CHECK(string_at(other.read(), "/error/code") == "invalid_json");
}

TEST_CASE("A refusal by the port is an error event, and the lane goes on") {
    Fixture fixture;
    fixture.port.on_submit = [n = std::make_shared<int>(0)](FakePort& port,
                                                            const GenerationRequest& request) {
        if ((*n)++ > 0) return FakePort::script({"x"})(port, request);
        port.finish(request.id, FinishReason::failed,
                    Error{ErrorCode::resource_exhausted, "full", {}, "queue_full"});
    };
    WsClient client(fixture.number);
    client.send(create("a", "x"));
    client.send(create("a", "y"));
    const std::string refused = client.read();
    CHECK(at(refused, "/status") == "429");
    CHECK(string_at(refused, "/stream_id") == "a");
    CHECK(text_of(read_to_end(client)) == "x");
}

TEST_CASE("Cancel ends a stream of this connection, and answers for one that is read nowhere") {
    Fixture fixture;
    WsClient client(fixture.number);
    client.send(create("a", "x"));
    const std::string id = fixture.port.submitted(0);
    fixture.port.start(id);
    fixture.port.text(id, "one");
    while (string_at(client.read(), "/type") != "response.output_text.delta") {
    }
    client.send(R"({"type":"response.cancel","response_id":")" + id + "\"}");
    const auto events = read_to_end(client);
    CHECK(string_at(events.back(), "/type") == "response.incomplete");
    CHECK(string_at(events.back(), "/response/status") == "cancelled");
    client.send(R"({"type":"response.cancel","stream_id":"c","response_id":")" + id + "\"}");
    const std::string again = client.read();
    CHECK(string_at(again, "/stream_id") == "c");
    CHECK(at(again, "/sequence_number") == at(events.back(), "/sequence_number"));
    CHECK(at(again, "/response") == at(events.back(), "/response"));
}

TEST_CASE("A cut socket detaches everything on it; a new connection resumes where the old one stood") {
    Fixture fixture;
    auto old_client = std::make_unique<WsClient>(fixture.number);
    old_client->send(create("a", "x"));
    old_client->send(create("b", "y"));
    const std::vector<std::string> ids = {fixture.port.submitted(0), fixture.port.submitted(1)};
    for (const std::string& id : ids) {
        fixture.port.start(id);
        fixture.port.text(id, "one");
    }
    std::map<std::string, std::string> seen;
    while (seen.size() < 2) {
        const std::string event = old_client->read();
        REQUIRE_FALSE(event.empty());
        if (!string_at(event, "/delta").empty())
            seen[string_at(event, "/stream_id")] = at(event, "/sequence_number");
    }
    old_client->cut();
    for (const std::string& id : ids) CHECK(fixture.port.wait_for_detach(id));
    for (const std::string& id : ids) fixture.port.text(id, " two");

    WsClient client(fixture.number);
    client.send(R"({"type":"response.resume","stream_id":"a","starting_after":)" + seen["a"] +
                R"(,"response_id":")" + ids[0] + "\"}");
    const std::string first = client.read();
    CHECK(string_at(first, "/delta") == " two");
    CHECK(at(first, "/sequence_number") == "5");
    fixture.port.text(ids[0], " three");
    fixture.port.finish(ids[0], FinishReason::stop);
    auto rest = read_to_end(client);
    CHECK(text_of(rest) == " three");
    CHECK(string_at(rest.back(), "/response/output/0/content/0/text") == "one two three");
    // Without a stream_id too, and from the beginning.
    client.send(R"({"type":"response.resume","response_id":")" + ids[1] + "\"}");
    fixture.port.finish(ids[1], FinishReason::stop);
    rest = read_to_end(client);
    CHECK(at(rest.front(), "/sequence_number") == "0");
    CHECK(text_of(rest) == "one two");
}

TEST_CASE("Whoever resumes behind an event that is yet to come is told so, and takes over from nobody") {
    Fixture fixture;
    WsClient reader(fixture.number), other(fixture.number);
    const auto resume = [&other](const std::string& id, int after) {
        other.send(R"({"type":"response.resume","response_id":")" + id + R"(","starting_after":)" +
                   std::to_string(after) + "}");
        return read_to_end(other);
    };
    const auto refused = [&](const std::string& id, int after, int last) {
        CAPTURE(after);
        const auto events = resume(id, after);
        CHECK(events.size() == 1);
        CHECK(at(events[0], "/status") == "400");
        CHECK(string_at(events[0], "/error/param") == "starting_after");
        CHECK(has(string_at(events[0], "/error/message"), "has the number " + std::to_string(last)));
    };
    const bool speaks = GENERATE(true, false);
    reader.send(create("", "x", speaks ? "" : R"(,"generate":false)"));
    const std::string id = fixture.port.submitted(0);
    refused(id, 2, 1);
    fixture.port.start(id);
    fixture.port.text(id, "one");
    if (speaks) read_until(reader, "response.output_text.delta");
    const int last = speaks ? 4 : 1, end = speaks ? 8 : 2;
    refused(id, last + 1, last);
    refused(id, 1000000, last);
    fixture.port.finish(id, FinishReason::stop);
    CHECK(string_at(read_to_end(reader).back(), "/type") == "response.completed");  // not replaced
    refused(id, end + 1, end);
    // Who has all of it is told the end again.
    const auto events = resume(id, end);
    CHECK(events.size() == 1);
    CHECK(string_at(events[0], "/type") == "response.completed");
    CHECK(at(events[0], "/sequence_number") == std::to_string(end));
}

TEST_CASE("The upgrade asks for the key, and other paths have none") {
    Fixture fixture([](ServerConfig& config) { config.api_key = "secret"; });
    CHECK(WsClient(fixture.number).status == 401);
    CHECK(WsClient(fixture.number, "/v1/responses", "wrong").status == 401);
    CHECK(WsClient(fixture.number, "/v1/realtime", "secret").status == 404);
    WsClient good(fixture.number, "/v1/responses", "secret");
    CHECK_FALSE(good.handshake_error);
    CHECK(fixture.get("/v1/responses").status == 401);
}

TEST_CASE("Messages and streams of a WebSocket are bounded") {
    Fixture fixture([](ServerConfig& config) { config.max_body_bytes = 2000; });
    SECTION("a message that is too large is an error and disturbs no stream") {
        WsClient client(fixture.number);
        client.send(create("a", "x"));
        const std::string id = fixture.port.submitted(0);
        client.send(std::string(3000, ' '));
        const std::string event = client.read();
        CHECK(at(event, "/status") == "413");
        CHECK(string_at(event, "/error/code") == "message_too_large");
        FakePort::script({"still here"})(fixture.port, fixture.port.generation(id).request);
        CHECK(text_of(read_to_end(client)) == "still here");
    }
    SECTION("a message without an end closes the socket with the reason") {
        WsClient client(fixture.number);
        client.send(std::string(100000, ' '));
        CHECK(client.read().empty());
        CHECK(client.close_code() == boost::beast::websocket::close_code::too_big);
    }
    SECTION("streams, and requests behind one") {
        WsClient client(fixture.number);
        for (int i = 0; i < 300; ++i) client.send(create("s" + std::to_string(i), "x"));
        std::string event = client.read();
        CHECK(at(event, "/status") == "429");
        CHECK(string_at(event, "/error/code") == "websocket_stream_limit_reached");
        WsClient other(fixture.number);
        for (int i = 0; i < 70; ++i) other.send(create("s", "x"));
        event = other.read();
        CHECK(at(event, "/status") == "429");
        CHECK(string_at(event, "/error/code") == "too_many_requests");
    }
    SECTION("bytes of requests that wait, whatever their stream") {
        WsClient client(fixture.number);
        const std::string large(1800, 'x');
        for (const char* lane : {"a", "b", "a", "b"}) client.send(create(lane, large));
        client.send(create("a", large));
        std::string event = client.read();
        CHECK(at(event, "/status") == "429");
        CHECK(string_at(event, "/stream_id") == "a");
        CHECK(string_at(event, "/error/code") == "too_many_requests");
        client.send(create("c", large));  // need not wait
        const std::string first = fixture.port.submitted(0);
        REQUIRE_FALSE(fixture.port.submitted(2).empty());
        fixture.port.finish(first, FinishReason::stop);
        read_to_end(client);
        client.send(create("a", large));  // there is room again
        REQUIRE_FALSE(fixture.port.submitted(3).empty());
        client.send(R"({"type":"response.cancel","response_id":"resp_no"})");
        CHECK(at(client.read(), "/status") == "404");
    }
    CHECK(fixture.get("/health").status == 200);
}

TEST_CASE("A slow WebSocket reader is sent coalesced deltas") {
    Fixture fixture;
    WsClient client(fixture.number);
    client.send(create("a", "x"));
    const std::string id = fixture.port.submitted(0);
    fixture.port.start(id);
    std::string expected;
    constexpr int kTokens = 100000;
    for (int i = 0; i < kTokens; ++i) {
        expected += std::to_string(i);
        fixture.port.text(id, std::to_string(i));
    }
    fixture.port.finish(id, FinishReason::stop);
    const auto events = read_to_end(client);
    CHECK(text_of(events) == expected);
    CHECK(events.size() < kTokens / 2);
    CHECK(at(events.back(), "/sequence_number") == std::to_string(4 + kTokens + 3));
}

TEST_CASE("A WebSocket whose reader holds up too much is closed, and its responses can be resumed") {
    Fixture fixture;
    WsClient client(fixture.number);
    client.send(create("a", "x"));
    const std::string id = fixture.port.submitted(0);
    fixture.port.start(id);
    std::string expected;
    for (int i = 0; i < 20; ++i) {  // more than sockets and lanes hold; nobody reads
        const std::string text(1U << 20, static_cast<char>('a' + i % 26));
        expected += text;
        fixture.port.text(id, text);
    }
    CHECK(fixture.port.wait_for_detach(id));
    std::vector<std::string> events;
    do events.push_back(client.read());
    while (!events.back().empty());
    events.pop_back();
    CHECK(client.close_code() == boost::beast::websocket::close_code::try_again_later);
    REQUIRE_FALSE(events.empty());
    WsClient next(fixture.number);
    next.send(R"({"type":"response.resume","response_id":")" + id + R"(","starting_after":)" +
              at(events.back(), "/sequence_number") + "}");
    fixture.port.finish(id, FinishReason::stop);
    const auto rest = read_to_end(next);
    CHECK(text_of(events) + text_of(rest) == expected);
}

TEST_CASE("A WebSocket that does not answer pings is closed") {
    Fixture fixture([](ServerConfig& config) { config.idle_timeout_ms = 100; });
    WsClient client(fixture.number);
    client.send(create("a", "x"));
    const std::string id = fixture.port.submitted(0);
    CHECK(fixture.port.wait_for_detach(id));  // nobody reads, so nobody answers
    WsClient alive(fixture.number);
    alive.send(create("a", "x"));
    const std::string other = fixture.port.submitted(1);
    fixture.port.start(other);
    while (string_at(alive.read(), "/type") != "response.in_progress") {
    }
    std::thread later([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(400));
        FakePort::script({"still here"})(fixture.port, fixture.port.generation(other).request);
    });
    CHECK(text_of(read_to_end(alive)) == "still here");  // reading answers the pings
    later.join();
}

TEST_CASE("Stopping says goodbye to WebSockets") {
    Fixture fixture;
    WsClient client(fixture.number);
    client.send(create("a", "x"));
    const std::string id = fixture.port.submitted(0);
    std::thread stopping([&] { fixture.server->stop(); });
    fixture.port.start(id);
    fixture.port.finish(id, FinishReason::stop);
    CHECK(string_at(read_to_end(client).back(), "/type") == "response.completed");
    CHECK(client.read().empty());
    CHECK(client.last_error == boost::beast::websocket::error::closed);
    stopping.join();
}
