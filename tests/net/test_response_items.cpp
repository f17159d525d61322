// The items of a response: reasoning, messages and calls of functions, and the events that tell of them.
#include <random>

#include "net/response_output.hpp"
#include "tests/net/ws_events.hpp"

using namespace troupe;
using namespace troupe::net;

namespace {

const char* const kTools =
    R"("tools":[{"type":"function","name":"f","parameters":{}},{"type":"function","name":"g"}])";
const std::vector<std::string> kSaid = {"Let",        " me",   " see.\n",
                                        "</think>",   "\n\nI", " will",
                                        " ask.\n",    "<too",  "l_call>{\"name\":\"f\",\"arguments\":{\"x\":",
                                        "1}}</tool_", "call>", "\n<tool_call>{\"name\":\"g\"}</tool_call>",
                                        " And",       " more"};

void speak(FakePort& port, const std::string& id, const std::vector<std::string>& texts = kSaid) {
    port.start(id, 3, Thinking::inside);
    for (const std::string& text : texts) port.text(id, text);
    port.finish(id, FinishReason::stop);
}

ResponseRecord record_of(const std::string& more = kTools) {
    UnknownFields unknown;
    auto request = parse_response(R"({"input":"x",)" + more + "}", unknown);
    return *make_record(*request, "m", 1, nullptr);
}

OutputTexts texts_of(const std::vector<std::string>& texts, std::size_t first = 0,
                     std::size_t last = std::string::npos) {
    OutputTexts result;
    for (std::size_t i = first; i < std::min(last, texts.size()); ++i) {
        result.text += texts[i];
        result.marks.push_back(
            {static_cast<std::uint32_t>(result.text.size()), static_cast<std::uint32_t>(i + 1)});
    }
    return result;
}

// "kind number item delta" of each; deltas of one item in one.
std::vector<std::string> described(std::vector<OutputEvent> events) {
    std::vector<std::string> lines;
    for (std::size_t i = 0; i < events.size(); ++i) {
        using Kind = OutputEvent::Kind;
        if (events[i].kind == Kind::delta && i + 1 < events.size() && events[i + 1].kind == Kind::delta) {
            events[i + 1].delta.insert(0, events[i].delta);
            continue;
        }
        lines.push_back(std::to_string(static_cast<int>(events[i].kind)) + " " +
                        std::to_string(events[i].number) + " " + std::to_string(events[i].item) + " " +
                        events[i].delta);
    }
    return lines;
}

std::vector<OutputEvent> after(const std::vector<OutputEvent>& events, std::int64_t number) {
    std::vector<OutputEvent> rest;
    for (const OutputEvent& event : events)
        if (event.number > number) rest.push_back(event);
    return rest;
}

void append(std::vector<OutputEvent>& all, std::vector<OutputEvent> more) {
    all.insert(all.end(), more.begin(), more.end());
}

std::vector<std::string> types_of(const std::vector<std::string>& events) {
    std::vector<std::string> types;
    for (const std::string& event : events) {
        std::string type = string_at(event, "/type");
        types.push_back(type.starts_with("response.") ? type.substr(9) : type);
    }
    return types;
}

TextLogprobs entry(const std::string& bytes) {
    return {{7, bytes, -0.5F}, 1, 0, {{7, bytes, -0.5F}, {8, "?", -2}}};
}

}  // namespace

TEST_CASE("A response's items and the numbers of their events do not depend on how its texts arrive") {
    const ResponseRecord record = record_of();
    const GenerationStatus status = GENERATE(GenerationStatus::completed, GenerationStatus::incomplete,
                                             GenerationStatus::cancelled, GenerationStatus::failed);
    std::vector<OutputEvent> one_by_one;
    ResponseOutput output(record, -1);
    output.start(Thinking::inside);
    for (std::size_t i = 0; i < kSaid.size(); ++i) {
        output.push(texts_of(kSaid, i, i + 1));
        append(one_by_one, output.take_events());
    }
    output.finish(status, 20);
    append(one_by_one, output.take_events());
    for (std::size_t i = 0; i < one_by_one.size(); ++i)
        CHECK(one_by_one[i].number == kFirstItemNumber + static_cast<std::int64_t>(i));
    CHECK(output.next_number() == one_by_one.back().number + 1);
    REQUIRE(output.items().size() == 5);
    CHECK(output.items()[0].text == "Let me see.");
    CHECK(output.items()[1].text == "I will ask.");
    CHECK(output.items()[2].text == R"({"x":1})");
    CHECK(output.items()[3].name == "g");
    CHECK(output.items()[4].text == "And more");
    CHECK(output.reasoning_tokens() == 4);

    std::mt19937 random(7);
    for (std::int64_t seen = -1; seen < output.next_number(); ++seen) {
        CAPTURE(seen);
        ResponseOutput other(record, seen);
        other.start(Thinking::inside);
        std::vector<OutputEvent> events;
        for (std::size_t i = 0; i < kSaid.size();) {
            const std::size_t next = i + 1 + random() % 5;
            other.push(texts_of(kSaid, i, next));
            append(events, other.take_events());
            i = next;
        }
        other.finish(status, 20);
        append(events, other.take_events());
        CHECK(described(events) == described(after(one_by_one, seen)));
        CHECK(other.next_number() == output.next_number());
        CHECK(other.items().size() == 5);
    }
}

TEST_CASE("A response whose model thinks and calls functions, streamed and whole") {
    Fixture fixture;
    fixture.port.on_submit = [](FakePort& port, const GenerationRequest& request) {
        speak(port, request.id);
    };
    const std::string body = R"({"input":"x",)" + std::string(kTools);
    auto events = sse_data(fixture.post("/v1/responses", body + R"(,"stream":true})").body);
    events.pop_back();
    const std::vector<std::string> expected = {"created",
                                               "in_progress",
                                               "output_item.added",
                                               "content_part.added",
                                               "reasoning_text.delta",
                                               "reasoning_text.done",
                                               "content_part.done",
                                               "output_item.done",
                                               "output_item.added",
                                               "content_part.added",
                                               "output_text.delta",
                                               "output_text.done",
                                               "content_part.done",
                                               "output_item.done",
                                               "output_item.added",
                                               "function_call_arguments.delta",
                                               "function_call_arguments.done",
                                               "output_item.done",
                                               "output_item.added",
                                               "function_call_arguments.delta",
                                               "function_call_arguments.done",
                                               "output_item.done",
                                               "output_item.added",
                                               "content_part.added",
                                               "output_text.delta",
                                               "output_text.done",
                                               "content_part.done",
                                               "output_item.done",
                                               "completed"};
    REQUIRE(types_of(events) == expected);
    CHECK(at(events[2], "/item/content") == "[]");
    CHECK(string_at(events[3], "/part/type") == "reasoning_text");
    CHECK(string_at(events[4], "/delta") == "Let me see.");
    CHECK(at(events[14], "/output_index") == "2");
    CHECK(string_at(events[14], "/item/status") == "in_progress");
    CHECK(string_at(events[14], "/item/name") == "f");
    CHECK(string_at(events[14], "/item/arguments").empty());
    CHECK(string_at(events[15], "/delta") == R"({"x":1})");
    CHECK(string_at(events[16], "/arguments") == R"({"x":1})");
    CHECK(string_at(events[16], "/item_id") == string_at(events[14], "/item/id"));
    const std::string last = at(events.back(), "/response");
    for (const auto& [index, event] : {std::pair{0, 7}, {1, 13}, {2, 17}, {3, 21}, {4, 27}}) {
        CAPTURE(index);
        CHECK(at(events[static_cast<std::size_t>(event)], "/item") ==
              at(last, "/output/" + std::to_string(index)));
    }
    CHECK(string_at(last, "/output/0/content/0/text") == "Let me see.");
    CHECK(string_at(last, "/output/3/arguments") == "{}");
    CHECK(at(last, "/usage/output_tokens_details/reasoning_tokens") == "4");
    CHECK(fixture.get("/v1/responses/" + string_at(last, "/id")).body == last);
    const Answer whole = fixture.post("/v1/responses", body + "}");
    CHECK(at(whole.body, "/output/4/content") == at(last, "/output/4/content"));
}

TEST_CASE("A response with items resumes behind every number") {
    Fixture fixture;
    fixture.port.on_submit = [](FakePort& port, const GenerationRequest& request) {
        speak(port, request.id);
    };
    auto all = sse_data(
        fixture.post("/v1/responses", R"({"input":"x","stream":true,)" + std::string(kTools) + "}").body);
    all.pop_back();
    const std::string id = fixture.port.submitted(0);
    const auto resumed = [&](int number) {
        const std::string query = "?stream=true&starting_after=" + std::to_string(number);
        return fixture.get("/v1/responses/" + id + query);
    };
    const int end = std::stoi(at(all.back(), "/sequence_number"));
    for (int seen = 0; seen <= end; ++seen) {
        CAPTURE(seen);
        auto events = sse_data(resumed(seen).body);
        events.pop_back();
        REQUIRE_FALSE(events.empty());
        CHECK(events.back() == all.back());
        for (const std::string& event : events) {
            CHECK(std::stoi(at(event, "/sequence_number")) > std::min(seen, end - 1));
            if (!string_at(event, "/type").ends_with("delta"))
                CHECK(std::find(all.begin(), all.end(), event) != all.end());
        }
    }
    CHECK(resumed(end + 1).status == 400);
}

TEST_CASE("What a function gave back continues the response that called it") {
    const bool stored = GENERATE(true, false);
    Fixture fixture;
    WsClient client(fixture.number);
    client.send(create("", "x", "," + std::string(kTools) + (stored ? "" : R"(,"store":false)")));
    speak(fixture.port, fixture.port.submitted(0));
    const auto events = read_to_end(client);
    const std::string response = at(events.back(), "/response");
    const std::string call_id = string_at(response, "/output/2/call_id");
    CHECK(call_id.size() == 9);  // as templates of Mistral's models want it
    client.send(R"({"type":"response.create","previous_response_id":")" + string_at(response, "/id") +
                R"(","input":[{"type":"function_call_output","call_id":")" + call_id +
                R"(","output":"rain"}]})");
    CHECK(messages_of(fixture.port, 1) ==
          R"([{"role":"user","content":"x"},{"role":"assistant","content":"I will ask.And more",)"
          R"("reasoning_content":"Let me see.","tool_calls":[{"id":")" +
              call_id + R"(","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}},{"id":")" +
              string_at(response, "/output/3/call_id") +
              R"(","type":"function","function":{"name":"g","arguments":"{}"}}]},)"
              R"({"role":"tool","content":"rain","tool_call_id":")" +
              call_id + "\"}]");
}

TEST_CASE("A response that only thought, or was kept from calling, ends with a message") {
    Fixture fixture;
    std::vector<std::string> texts = {"Hm", "m"};
    std::string more = kTools;
    SECTION("thought") {
        fixture.port.on_submit = [&](FakePort& port, const GenerationRequest& request) {
            port.start(request.id, 3, Thinking::inside);
            for (const std::string& text : texts) port.text(request.id, text);
            port.finish(request.id, FinishReason::length);
        };
        const Answer answer = fixture.post("/v1/responses", R"({"input":"x",)" + more + "}");
        CHECK(string_at(answer.body, "/output/0/status") == "incomplete");
        CHECK(string_at(answer.body, "/output/0/content/0/text") == "Hmm");
        CHECK(string_at(answer.body, "/output/1/type") == "message");
        CHECK(string_at(answer.body, "/output/1/content/0/text").empty());
        CHECK(at(answer.body, "/usage/output_tokens_details/reasoning_tokens") == "2");
    }
    SECTION("no tools") {
        more += R"(,"tool_choice":"none")";
        fixture.port.on_submit = FakePort::script({"<tool_call>{\"name\":\"f\"}</tool_call>"});
        const Answer answer = fixture.post("/v1/responses", R"({"input":"x",)" + more + "}");
        CHECK(string_at(answer.body, "/output/0/content/0/text") ==
              "<tool_call>{\"name\":\"f\"}</tool_call>");
        CHECK(at(answer.body, "/usage/output_tokens_details/reasoning_tokens") == "0");
    }
}

TEST_CASE("A response's log probabilities are those of its message's tokens") {
    Fixture fixture;
    fixture.port.on_submit = [](FakePort& port, const GenerationRequest& request) {
        CHECK(request.sampling.logprobs == 1U);
        port.start(request.id, 3, Thinking::inside);
        std::uint64_t index = 0;
        for (const char* text : {"Hm", "</think>", "\n\n", "Yes", "<tool_call>{}", "</tool_call>", "."}) {
            const auto tokens = static_cast<std::uint32_t>(index + 1);
            port.play(request.id, TextEvent{index++, text, tokens, false, {entry(text)}});
        }
        port.finish(request.id, FinishReason::stop);
    };
    const Answer answer =
        fixture.post("/v1/responses", R"({"input":"x","include":["message.output_text.logprobs"],
        "top_logprobs":1,"stream":true,)" +
                                          std::string(kTools) + "}");
    std::vector<std::string> tokens;
    for (const std::string& event : sse_data(answer.body)) {
        if (event == "[DONE]" || string_at(event, "/type") != "response.output_text.done") continue;
        for (int i = 0; i < 4; ++i)
            tokens.push_back(string_at(event, "/logprobs/" + std::to_string(i) + "/token"));
        CHECK(at(event, "/logprobs/0/top_logprobs/1/token") == "\"?\"");
        CHECK(at(event, "/logprobs/4").empty());
    }
    // What looked like a call was none.
    CHECK(tokens == std::vector<std::string>{"Yes", "<tool_call>{}", "</tool_call>", "."});
    const Answer refused = fixture.post("/v1/responses", R"({"input":"x","top_logprobs":2})");
    CHECK(refused.status == 400);
    CHECK(string_at(refused.body, "/error/param") == "top_logprobs");
    const Answer unknown =
        fixture.post("/v1/responses", R"({"input":"x","include":["file_search_call.results"]})");
    CHECK(unknown.status == 400);
    CHECK(string_at(unknown.body, "/error/param") == "include");
}

TEST_CASE("A response is not steered while its model thinks, but when it has called") {
    Fixture fixture;
    WsClient client(fixture.number);
    client.send(create("", "x", "," + std::string(kTools)));
    const std::string id = fixture.port.submitted(0);
    fixture.port.start(id, 3, Thinking::inside);
    fixture.port.text(id, "Hm");
    read_until(client, "response.reasoning_text.delta");
    client.send(R"({"type":"response.steer","input":"more","previous_response_id":")" + id + "\"}");
    read_until(client, "response.steer.accepted");
    CHECK_FALSE(fixture.port.is_finished(id));
    fixture.port.text(id, "</think><tool_call>{\"name\":\"f\"}</tool_call>");
    const auto events = read_to_end(client);
    CHECK(string_at(events.back(), "/response/incomplete_details/reason") == "steered");
    CHECK(string_at(events.back(), "/response/output/1/type") == "function_call");
    CHECK(has(messages_of(fixture.port, 1), "\"tool_calls\""));
}

TEST_CASE("Chat counts the tokens of reasoning") {
    Fixture fixture;
    fixture.port.on_submit = [](FakePort& port, const GenerationRequest& request) {
        speak(port, request.id, {"Hm", "m</think>", "Yes"});
    };
    const std::string body = R"({"messages":[{"role":"user","content":"x"}],"n":2)";
    const std::string path = "/usage/completion_tokens_details/reasoning_tokens";
    CHECK(at(fixture.post("/v1/chat/completions", body + "}").body, path) == "4");
    const auto data = sse_data(
        fixture
            .post("/v1/chat/completions", body + R"(,"stream":true,"stream_options":{"include_usage":true}})")
            .body);
    CHECK(at(data[data.size() - 2], path) == "4");
}
