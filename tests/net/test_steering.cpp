// response.steer: input into a running response, and what becomes of it.
#include "tests/net/ws_events.hpp"

using namespace troupe;
using namespace troupe::net;

namespace {

std::string steer(const std::string& id, const std::string& input = "and briefly") {
    return R"({"type":"response.steer","previous_response_id":")" + id + R"(","input":")" + input + "\"}";
}

// A response on lane "a" that has said "one".
std::string begin(Fixture& fixture, WsClient& client, const std::string& more = {}) {
    client.send(create("a", "question", more));
    std::string id = fixture.port.submitted(0);
    fixture.port.start(id);
    fixture.port.text(id, "one");
    read_until(client, "response.output_text.delta");
    return id;
}

}  // namespace

TEST_CASE("Steering ends a response, and its successor goes on with the input and the settings") {
    Fixture fixture;
    WsClient client(fixture.number);
    const std::string id =
        begin(fixture, client,
              R"(,"instructions":"be kind","temperature":0.5,"seed":3,"stop":["x"],"max_output_tokens":9,)"
              R"("metadata":{"k":"v"},"priority":4)");
    client.send(steer(id));
    const std::string accepted = client.read();
    CHECK(string_at(accepted, "/type") == "response.steer.accepted");
    CHECK(string_at(accepted, "/stream_id") == "a");
    CHECK(at(accepted, "/sequence_number") == "4");  // of the text before it
    CHECK(string_at(accepted, "/steer/previous_response_id") == id);
    CHECK(string_at(accepted, "/steer/id").starts_with("steer_"));

    const auto events = read_to_end(client);
    CHECK(string_at(events.back(), "/type") == "response.incomplete");
    CHECK(string_at(events.back(), "/response/incomplete_details/reason") == "steered");
    CHECK(string_at(events.back(), "/response/output/0/content/0/text") == "one");
    CHECK(fixture.get("/v1/responses/" + id).body == at(events.back(), "/response"));
    WsClient other(fixture.number);
    other.send(R"({"type":"response.resume","stream_id":"a","response_id":")" + id + "\"}");
    CHECK(read_to_end(other).back() == events.back());

    const std::string next = fixture.port.submitted(1);
    CHECK(messages_of(fixture.port, 1) ==
          R"([{"role":"system","content":"be kind"},{"role":"user","content":"question"},)"
          R"({"role":"assistant","content":"one"},{"role":"user","content":"and briefly"}])");
    CHECK(fixture.port.generation(next).request.sampling == fixture.port.generation(id).request.sampling);
    CHECK(fixture.port.generation(next).request.priority == 4);
    FakePort::script({"two"})(fixture.port, fixture.port.generation(next).request);
    const auto rest = read_to_end(client);
    CHECK(string_at(rest.front(), "/type") == "response.created");
    CHECK(string_at(rest.front(), "/response/previous_response_id") == id);
    CHECK(string_at(rest.front(), "/response/metadata/k") == "v");
    CHECK(string_at(rest.front(), "/stream_id") == "a");
    CHECK(text_of(rest) == "two");
}

TEST_CASE("Input that is accepted before a response ends by itself goes into a successor all the same") {
    Fixture fixture;
    WsClient client(fixture.number);
    client.send(create("a", "question"));
    client.send(create("a", "already waiting"));
    const std::string id = fixture.port.submitted(0);
    fixture.port.start(id);
    read_until(client, "response.in_progress");
    client.send(steer(id, "first"));
    client.send(
        R"({"type":"response.steer","previous_response_id":")" + id +
        R"(","input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"second"}]}]})");
    CHECK(string_at(client.read(), "/type") == "response.steer.accepted");
    CHECK(string_at(client.read(), "/type") == "response.steer.accepted");
    CHECK_FALSE(fixture.port.is_finished(id));  // it has said nothing yet
    const FinishReason reason = GENERATE(FinishReason::stop, FinishReason::length);
    fixture.port.text(id, "done", true);
    fixture.port.finish(id, reason);
    read_to_end(client);
    CHECK(messages_of(fixture.port, 1) ==
          R"([{"role":"user","content":"question"},{"role":"assistant","content":"done"},)"
          R"({"role":"user","content":"first"},{"role":"user","content":"second"}])");
    FakePort::script({"x"})(fixture.port, fixture.port.generation(fixture.port.submitted(1)).request);
    read_to_end(client);
    CHECK(has(messages_of(fixture.port, 2), "already waiting"));
}

TEST_CASE("A steered response waits for its first text") {
    Fixture fixture;
    WsClient client(fixture.number);
    client.send(create("a", "question"));
    const std::string id = fixture.port.submitted(0);
    fixture.port.start(id);
    read_until(client, "response.in_progress");
    client.send(steer(id));
    read_until(client, "response.steer.accepted");
    CHECK_FALSE(fixture.port.is_finished(id));
    fixture.port.text(id, "one");
    auto events = read_to_end(client);
    CHECK(string_at(events.back(), "/response/incomplete_details/reason") == "steered");
    CHECK(text_of(events) == "one");
}

TEST_CASE("Input that cannot be committed comes back with the reason") {
    Fixture fixture;
    WsClient client(fixture.number);
    const std::string id = begin(fixture, client);
    const auto failed = [&](const std::string& code) {
        const std::string event = read_until(client, "response.steer.failed");
        CHECK(string_at(event, "/error/code") == code);
        CHECK(string_at(event, "/error/type") == "invalid_request_error");
        CHECK_FALSE(string_at(event, "/error/message").empty());
        CHECK_FALSE(at(event, "/sequence_number").empty());
        return event;
    };
    SECTION("one that is not valid") {
        const std::string head = R"({"type":"response.steer","previous_response_id":")" + id + "\"";
        for (const std::string& message :
             {head + "}", head + R"(,"input":[]})", head + R"(,"input":7})",
              head + R"(,"input":[{"role":"assistant","content":"x"}]})",
              head + R"(,"input":[{"role":"user","content":[{"type":"input_image","image_url":"x"}]}]})",
              head + R"(,"input":"x","stream_id":"a"})", head + R"(,"input":"x","temperature":1})"}) {
            CAPTURE(message);
            client.send(message);
            const std::string event = failed("invalid_input");
            CHECK(string_at(event, "/stream_id") == "a");
            CHECK(at(event, "/steer/id").empty());
            if (has(message, "\"input\":7")) CHECK(at(event, "/steer/input") == "7");
        }
        client.send(R"({"type":"response.steer","input":"x"})");
        CHECK(string_at(failed("invalid_input"), "/steer/input") == "x");
    }
    SECTION("one for a response that is not here, even if another connection has it") {
        client.send(steer("resp_no"));
        CHECK(string_at(failed("response_not_found"), "/steer/input") == "and briefly");
        WsClient other(fixture.number);
        other.send(steer(id));
        CHECK(string_at(other.read(), "/error/code") == "response_not_found");
    }
    SECTION("one that comes too late") {
        fixture.port.finish(id, FinishReason::stop);
        read_to_end(client);
        client.send(steer(id));
        CHECK(string_at(failed("response_already_completed"), "/stream_id") == "a");
    }
    SECTION("too many") {
        fixture.port.finish(id, FinishReason::stop);
        read_to_end(client);
        client.send(create("b", "x"));
        const std::string next = fixture.port.submitted(1);
        fixture.port.start(next);
        read_until(client, "response.in_progress");
        for (int i = 0; i < 17; ++i) client.send(steer(next));
        failed("too_many_pending_steers");
    }
    SECTION("its response fails or is cancelled") {
        fixture.port.finish(id, FinishReason::stop);
        client.send(create("b", "x"));
        const std::string next = fixture.port.submitted(1);
        fixture.port.start(next);
        while (string_at(client.read(), "/stream_id") != "b") {
        }
        client.send(steer(next));
        const std::string accepted = read_until(client, "response.steer.accepted");
        if (GENERATE(true, false)) {
            fixture.port.finish(next, FinishReason::failed, internal_error("worker"));
        } else {
            client.send(R"({"type":"response.cancel","response_id":")" + next + "\"}");
        }
        const std::string event = failed("response_not_active");
        CHECK(at(event, "/steer/id") == at(accepted, "/steer/id"));
        CHECK(string_at(event, "/steer/input") == "and briefly");
    }
    SECTION("its successor is refused; the lane goes on") {
        fixture.port.on_submit = [](FakePort& port, const GenerationRequest& request) {
            if (!has(request.record, "and briefly")) return FakePort::script({"x"})(port, request);
            port.finish(request.id, FinishReason::failed,
                        Error{ErrorCode::resource_exhausted, "all places are taken", {}, "queue_full"});
        };
        client.send(steer(id));
        CHECK(string_at(failed("successor_creation_failed"), "/error/message") == "all places are taken");
        client.send(create("a", "next"));
        CHECK(text_of(read_to_end(client)) == "x");
    }
    SECTION("the server is shutting down") {
        fixture.port.server_state = ServerState::draining;
        client.send(steer(id));
        failed("successor_creation_failed");
    }
    SECTION("there is no output to steer") {
        client.send(create("b", "x", R"(,"generate":false)"));
        const std::string next = fixture.port.submitted(1);
        fixture.port.start(next);
        while (string_at(client.read(), "/stream_id") != "b") {
        }
        client.send(steer(next));
        failed("steering_not_supported");
    }
}

TEST_CASE("A response that was resumed here can be steered, and keeps the settings that it shows") {
    Fixture fixture;
    std::string id;
    {
        WsClient old(fixture.number);
        id = begin(fixture, old, R"(,"temperature":0.5,"max_output_tokens":9,"instructions":"be kind")");
        old.cut();
        REQUIRE(fixture.port.wait_for_detach(id));
    }
    WsClient client(fixture.number);
    client.send(R"({"type":"response.resume","stream_id":"r","starting_after":4,"response_id":")" + id +
                "\"}");
    fixture.port.text(id, " two");
    CHECK(string_at(client.read(), "/delta") == " two");
    client.send(steer(id));
    CHECK(string_at(client.read(), "/stream_id") == "r");
    CHECK(string_at(read_to_end(client).back(), "/response/incomplete_details/reason") == "steered");
    const auto next = fixture.port.generation(fixture.port.submitted(1)).request;
    CHECK(next.sampling == fixture.port.generation(id).request.sampling);
    CHECK(has(messages_of(fixture.port, 1), "be kind"));
    CHECK(has(messages_of(fixture.port, 1), "one two"));
}
