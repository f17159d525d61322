// The Responses API over HTTP.
#include <algorithm>

#include "tests/net/fixture.hpp"

using namespace troupe;
using namespace troupe::net;

namespace {

std::vector<std::string> numbers_of(const std::vector<std::string>& data) {
    std::vector<std::string> numbers;
    for (std::size_t i = 0; i + 1 < data.size(); ++i) numbers.push_back(at(data[i], "/sequence_number"));
    return numbers;
}

std::vector<std::string> types_of(const std::vector<std::string>& data) {
    std::vector<std::string> types;
    for (std::size_t i = 0; i + 1 < data.size(); ++i) types.push_back(string_at(data[i], "/type"));
    return types;
}

// A finished response of three texts, each of which was sent as its own event; returns its id.
std::string finished_response(Fixture& fixture) {
    TestClient client = fixture.client();
    client.send(http_request("POST", "/v1/responses", R"({"input":"x"})"));
    const std::string id = fixture.port.submitted(0);
    FakePort::script({"one", " two", " three"})(fixture.port, fixture.port.generation(id).request);
    REQUIRE(client.read_answer().status == 200);
    return id;
}

}  // namespace

TEST_CASE("A response, whole") {
    Fixture fixture;
    fixture.port.on_submit = FakePort::script({"Hello", " you"});
    const Answer answer =
        fixture.post("/v1/responses", R"({"model":"fake","input":"hi","instructions":"be brief",
        "metadata":{"k":"v"},"temperature":0.5,"user":"u"})");
    REQUIRE(answer.status == 200);
    const std::string id = fixture.port.submitted(0);
    CHECK(id.starts_with("resp_"));
    CHECK(string_at(answer.body, "/id") == id);
    CHECK(string_at(answer.body, "/object") == "response");
    CHECK(string_at(answer.body, "/status") == "completed");
    CHECK(at(answer.body, "/created_at") == "1700000001");
    CHECK(string_at(answer.body, "/output/0/content/0/text") == "Hello you");
    CHECK(string_at(answer.body, "/output/0/status") == "completed");
    CHECK(string_at(answer.body, "/instructions") == "be brief");
    CHECK(at(answer.body, "/metadata") == R"({"k":"v"})");
    CHECK(at(answer.body, "/temperature") == "0.5");
    CHECK(at(answer.body, "/usage/input_tokens_details/cached_tokens") == "1");
    CHECK(at(answer.body, "/usage/total_tokens") == "5");
    const auto request = fixture.port.generation(id).request;
    CHECK(request.retention == Retention::stored);
    CHECK(std::get<ChatPrompt>(*request.prompt).variables ==
          R"({"messages":[{"role":"system","content":"be brief"},{"role":"user","content":"hi"}],)"
          R"("add_generation_prompt":true})");
    CHECK(fixture.get("/v1/responses/" + id).body == answer.body);
}

TEST_CASE("A response's stream: types, numbers and texts") {
    Fixture fixture;
    TestClient client = fixture.client();
    client.send(http_request("POST", "/v1/responses", R"({"input":"x","stream":true})"));
    const std::string id = fixture.port.submitted(0);
    fixture.port.start(id);
    REQUIRE(client.read_until("response.in_progress"));
    fixture.port.text(id, "one");
    REQUIRE(client.read_until("\"one\""));
    fixture.port.text(id, " two");
    REQUIRE(client.read_until("\" two\""));
    fixture.port.finish(id, FinishReason::length);
    const auto data = sse_data(client.read_answer().body);
    REQUIRE(data.back() == "[DONE]");
    CHECK(types_of(data) ==
          std::vector<std::string>{"response.created", "response.in_progress", "response.output_item.added",
                                   "response.content_part.added", "response.output_text.delta",
                                   "response.output_text.delta", "response.output_text.done",
                                   "response.content_part.done", "response.output_item.done",
                                   "response.incomplete"});
    CHECK(numbers_of(data) == std::vector<std::string>{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"});
    CHECK(string_at(data[0], "/response/status") == "in_progress");
    CHECK(string_at(data[6], "/text") == "one two");
    CHECK(string_at(data[9], "/response/incomplete_details/reason") == "max_output_tokens");
    const std::string item = string_at(data[2], "/item/id");
    for (const int i : {3, 4, 5, 6, 7})
        CHECK(string_at(data[static_cast<std::size_t>(i)], "/item_id") == item);
    CHECK(string_at(data[9], "/response/output/0/id") == item);
}

TEST_CASE("A stream resumes behind every number, with nothing lost or repeated") {
    Fixture fixture;
    const std::string id = finished_response(fixture);
    const auto whole = sse_data(fixture.get("/v1/responses/" + id + "?stream=true").body);
    // All texts wait when the reader attaches, so they come as one delta with the last one's number.
    CHECK(numbers_of(whole) == std::vector<std::string>{"0", "1", "2", "3", "6", "7", "8", "9", "10"});
    const std::vector<std::string> texts = {"one", " two", " three"};
    for (int after = 0; after <= 10; ++after) {
        CAPTURE(after);
        const Answer answer =
            fixture.get("/v1/responses/" + id + "?stream=true&starting_after=" + std::to_string(after));
        REQUIRE(answer.status == 200);
        const auto data = sse_data(answer.body);
        REQUIRE(data.back() == "[DONE]");
        std::string text, expected;
        for (int i = std::max(0, after - 3); i < 3; ++i) expected += texts[static_cast<std::size_t>(i)];
        int last = std::min(after, 9);  // the end is told again
        for (std::size_t i = 0; i + 1 < data.size(); ++i) {
            const int number = std::stoi(at(data[i], "/sequence_number"));
            CHECK(number > last);
            last = number;
            text += string_at(data[i], "/delta");
        }
        CHECK(text == expected);
        CHECK(data[data.size() - 2] == whole[whole.size() - 2]);
        if (after >= 9) CHECK(data.size() == 2);
        // Whatever the stream has of the events behind the deltas is what it had before.
        for (std::size_t i = 0; i + 1 < data.size(); ++i) {
            const bool delta = string_at(data[i], "/type") == "response.output_text.delta";
            CHECK((delta || std::find(whole.begin(), whole.end(), data[i]) != whole.end()));
        }
    }
}

TEST_CASE("A stream does not resume behind an event that it does not have") {
    Fixture fixture;
    const std::string id = finished_response(fixture);
    for (const char* after : {"11", "1000000"}) {
        const Answer answer = fixture.get("/v1/responses/" + id + "?stream=true&starting_after=" + after);
        CHECK(answer.status == 400);
        CHECK(string_at(answer.body, "/error/param") == "starting_after");
        CHECK(has(string_at(answer.body, "/error/message"), "has the number 10"));
    }
}

TEST_CASE("A running response is resumed live; the old reader is told, and its late end harms nobody") {
    Fixture fixture;
    TestClient old_reader = fixture.client();
    old_reader.send(http_request("POST", "/v1/responses", R"({"input":"x","stream":true})"));
    const std::string id = fixture.port.submitted(0);
    fixture.port.start(id);
    fixture.port.text(id, "one");
    REQUIRE(old_reader.read_until("\"one\""));
    TestClient new_reader = fixture.client();
    new_reader.send(http_request("GET", "/v1/responses/" + id + "?stream=true&starting_after=3"));
    REQUIRE(new_reader.read_until("\"one\""));
    const auto told = sse_data(old_reader.read_answer().body);
    CHECK(string_at(told[told.size() - 2], "/error/code") == "reader_replaced");
    old_reader.cut();
    fixture.port.text(id, " two");
    fixture.port.finish(id, FinishReason::stop);
    const auto data = sse_data(new_reader.read_answer().body);
    CHECK(string_at(data[data.size() - 2], "/response/output/0/content/0/text") == "one two");
    CHECK(numbers_of(data) == std::vector<std::string>{"4", "5", "6", "7", "8", "9"});
}

TEST_CASE("A stored response outlives its reader, one that is not stored does not") {
    Fixture fixture;
    const bool store = GENERATE(true, false);
    TestClient client = fixture.client();
    client.send(
        http_request("POST", "/v1/responses",
                     std::string(R"({"input":"x","stream":true,"store":)") + (store ? "true}" : "false}")));
    const std::string id = fixture.port.submitted(0);
    fixture.port.start(id);
    REQUIRE(client.read_until("response.created"));
    client.cut();
    REQUIRE(fixture.port.wait_for_detach(id));
    CHECK(fixture.port.is_finished(id) == !store);
    CHECK(fixture.get("/v1/responses/" + id).status == (store ? 200 : 404));
    fixture.port.finish(id, FinishReason::stop);
    CHECK(fixture.get("/v1/responses/" + id + "?stream=true").status == (store ? 200 : 404));
}

TEST_CASE("A background response is accepted at once and read later") {
    Fixture fixture;
    TestClient client = fixture.client();
    client.send(http_request("POST", "/v1/responses", R"({"input":"x","background":true})"));
    const std::string id = fixture.port.submitted(0);
    CHECK(fixture.port.generation(id).request.retention == Retention::background);
    fixture.port.start(id);
    const Answer accepted = client.read_answer();
    CHECK(string_at(accepted.body, "/status") == "queued");
    CHECK(at(accepted.body, "/background") == "true");
    CHECK(fixture.port.wait_for_detach(id));
    fixture.port.text(id, "done");
    CHECK(string_at(fixture.get("/v1/responses/" + id).body, "/status") == "in_progress");
    CHECK(string_at(fixture.get("/v1/responses/" + id).body, "/output/0/content/0/text") == "done");
    fixture.port.finish(id, FinishReason::stop);
    CHECK(string_at(fixture.get("/v1/responses/" + id).body, "/status") == "completed");
}

TEST_CASE("A refused background response is refused") {
    Fixture fixture;
    fixture.port.on_submit = [](FakePort& port, const GenerationRequest& request) {
        port.finish(request.id, FinishReason::failed, Error{ErrorCode::resource_exhausted, "full", {}, {}});
    };
    CHECK(fixture.post("/v1/responses", R"({"input":"x","background":true})").status == 429);
    CHECK(fixture.post("/v1/responses", R"({"input":"x","stream":true})").status == 429);
}

TEST_CASE("Cancelling ends the stream with response.incomplete and status cancelled") {
    Fixture fixture;
    TestClient client = fixture.client();
    client.send(http_request("POST", "/v1/responses", R"({"input":"x","stream":true})"));
    const std::string id = fixture.port.submitted(0);
    fixture.port.start(id);
    fixture.port.text(id, "one");
    REQUIRE(client.read_until("\"one\""));
    const Answer cancelled = fixture.post("/v1/responses/" + id + "/cancel", "");
    CHECK(cancelled.status == 200);
    CHECK(string_at(cancelled.body, "/status") == "cancelled");
    const auto data = sse_data(client.read_answer().body);
    const std::string& last = data[data.size() - 2];
    CHECK(string_at(last, "/type") == "response.incomplete");
    CHECK(string_at(last, "/response/status") == "cancelled");
    CHECK(string_at(last, "/response/output/0/status") == "incomplete");
    CHECK(at(last, "/response/incomplete_details") == "null");
}

TEST_CASE("A response that fails after it began says so in its stream, and by status when whole") {
    Fixture fixture;
    fixture.port.on_submit = [](FakePort& port, const GenerationRequest& request) {
        port.start(request.id);
        port.text(request.id, "one");
        port.finish(request.id, FinishReason::failed, internal_error("the worker is gone"));
    };
    const auto data = sse_data(fixture.post("/v1/responses", R"({"input":"x","stream":true})").body);
    const std::string& last = data[data.size() - 2];
    CHECK(string_at(last, "/type") == "response.failed");
    CHECK(at(last, "/sequence_number") == "5");
    CHECK(string_at(last, "/response/error/code") == "server_error");
    CHECK(string_at(last, "/response/error/message") == "the worker is gone");
    CHECK(fixture.post("/v1/responses", R"({"input":"x"})").status == 500);
    CHECK(string_at(fixture.get("/v1/responses/" + fixture.port.submitted(1)).body, "/status") == "failed");
}

TEST_CASE("A response whose deadline passes fails with a code of its own, however early it is") {
    const bool started = GENERATE(true, false);
    Fixture fixture;
    fixture.port.on_submit = [&](FakePort& port, const GenerationRequest& request) {
        if (started) port.start(request.id);
        port.finish(request.id, FinishReason::failed,
                    Error{ErrorCode::timed_out, "too late", "deadline_ms", "deadline_exceeded"});
    };
    const Answer answer = fixture.post("/v1/responses", R"({"input":"x","stream":true,"deadline_ms":1})");
    if (started) {
        const auto data = sse_data(answer.body);
        CHECK(string_at(data[data.size() - 2], "/response/error/code") == "deadline_exceeded");
    } else {
        CHECK(answer.status == 408);
        CHECK(string_at(answer.body, "/error/code") == "deadline_exceeded");
    }
}

TEST_CASE("Conversations continue and fork") {
    Fixture fixture;
    const std::string first = finished_response(fixture);
    fixture.port.on_submit = FakePort::script({"more"});
    const std::string body = R"({"input":"go on","previous_response_id":")" + first + "\"}";
    for (const std::size_t n : {1, 2}) {
        const Answer next = fixture.post("/v1/responses", body);
        CHECK(string_at(next.body, "/previous_response_id") == first);
        const auto request = fixture.port.generation(fixture.port.submitted(n)).request;
        CHECK(std::get<ChatPrompt>(*request.prompt).variables ==
              R"({"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"one two three"},)"
              R"({"role":"user","content":"go on"}],"add_generation_prompt":true})");
    }
    const Answer unknown = fixture.post("/v1/responses", R"({"input":"x","previous_response_id":"resp_no"})");
    CHECK(unknown.status == 400);
    CHECK(string_at(unknown.body, "/error/code") == "previous_response_not_found");
    CHECK(fixture.post("/v1/responses", R"({"input":"x","previous_response_id":"chatcmpl-1"})").status ==
          400);
}

TEST_CASE("Unknown responses and wrong queries") {
    Fixture fixture;
    CHECK(fixture.get("/v1/responses/resp_no").status == 404);
    CHECK(fixture.get("/v1/responses/resp_no?stream=true").status == 404);
    CHECK(fixture.post("/v1/responses/resp_no/cancel", "").status == 404);
    for (const char* query : {"stream=maybe", "stream=true&starting_after=x", "stream=true&starting_after=-2",
                              "starting_after=3", "stream=true&starting_after=99999999999999999999"}) {
        CAPTURE(query);
        CHECK(fixture.get(std::string("/v1/responses/resp_no?") + query).status == 400);
    }
    // Generations that are not responses cannot be read as such.
    fixture.port.on_submit = FakePort::script({"x"});
    fixture.post("/v1/completions", R"({"prompt":"x"})");
    CHECK(fixture.get("/v1/responses/" + fixture.port.submitted(0)).status == 404);
}

TEST_CASE("What the model thought is an item before its message") {
    Fixture fixture;
    fixture.port.on_submit = [](FakePort& port, const GenerationRequest& request) {
        port.start(request.id, 3, Thinking::inside);
        for (const char* text : {"Let me see.", "\n</think>\n\n", "Yes", " <thi"})
            port.text(request.id, text);
        port.finish(request.id, FinishReason::stop);
    };
    const Answer whole = fixture.post("/v1/responses", R"({"input":"x"})");
    CHECK(at(whole.body, "/output/0/content/0/text") == R"("Let me see.")");
    CHECK(at(whole.body, "/output/1/content/0/text") == R"("Yes <thi")");
    const Answer stream = fixture.post("/v1/responses", R"({"input":"x","stream":true})");
    std::string deltas;
    for (const std::string& event : sse_data(stream.body)) {
        if (event != "[DONE]" && at(event, "/type") == R"("response.output_text.delta")")
            deltas += string_at(event, "/delta");
    }
    CHECK(deltas == "Yes <thi");
}

TEST_CASE("A response shows its tools, and the template gets them") {
    Fixture fixture;
    fixture.port.on_submit = FakePort::script({"Hi"});
    const std::string tool = R"({"type":"function","name":"f","parameters":{"a":1}})";
    const Answer answer =
        fixture.post("/v1/responses", R"({"input":"x","reasoning":{"effort":"low"},"tools":[)" + tool + "]}");
    REQUIRE(answer.status == 200);
    CHECK(at(answer.body, "/tools") == "[" + tool + "]");
    CHECK(at(answer.body, "/tool_choice") == R"("auto")");
    const auto request = fixture.port.generation(fixture.port.submitted(0)).request;
    CHECK(std::get<ChatPrompt>(*request.prompt).variables ==
          R"({"messages":[{"role":"user","content":"x"}],"add_generation_prompt":true,"tools":[{"type":)"
          R"("function","function":{"name":"f","parameters":{"a":1}}}],"reasoning_effort":"low"})");
}
