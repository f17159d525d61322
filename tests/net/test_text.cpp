// Completions and chat over real sockets.
#include <thread>

#include "tests/net/fixture.hpp"

using namespace troupe;
using namespace troupe::net;

namespace {

const std::string kChat = R"({"model":"fake","messages":[{"role":"user","content":"hi"}])";
const std::string kPrompt = R"({"model":"fake","prompt":"hi")";

std::string streamed_text(const std::vector<std::string>& data, const std::string& pointer) {
    std::string text;
    for (std::size_t i = 0; i + 1 < data.size(); ++i) text += string_at(data[i], pointer);
    return text;
}

}  // namespace

TEST_CASE("A completion, whole") {
    Fixture fixture;
    fixture.port.on_submit = FakePort::script({"Hello", ", ", "world"});
    const Answer answer = fixture.post("/v1/completions", kPrompt + R"(,"temperature":0})");
    REQUIRE(answer.status == 200);
    CHECK(answer.headers.at("content-type") == "application/json");
    CHECK(at(answer.body, "/object") == R"("text_completion")");
    CHECK(at(answer.body, "/created") == "1700000001");
    CHECK(at(answer.body, "/choices/0/text") == R"("Hello, world")");
    CHECK(at(answer.body, "/choices/0/finish_reason") == R"("stop")");
    CHECK(
        at(answer.body, "/usage") ==
        R"({"prompt_tokens":3,"completion_tokens":3,"total_tokens":6,"prompt_tokens_details":{"cached_tokens":1}})");
    const auto request = fixture.port.generation(fixture.port.submitted(0)).request;
    CHECK(*request.prompt == Prompt{TextPrompt{"hi"}});
    CHECK(request.sampling.temperature == 0.0F);
    CHECK(request.sampling.max_tokens == 16);
    CHECK(request.retention == Retention::none);
}

TEST_CASE("A chat, whole: absent max_tokens means the rest of the context") {
    Fixture fixture;
    fixture.port.on_submit = FakePort::script({"Hello"});
    const Answer answer = fixture.post("/v1/chat/completions", kChat + "}");
    CHECK(at(answer.body, "/choices/0/message/content") == R"("Hello")");
    CHECK(at(answer.body, "/choices/0/message/role") == R"("assistant")");
    const auto request = fixture.port.generation(fixture.port.submitted(0)).request;
    CHECK_FALSE(request.sampling.max_tokens);
    CHECK(std::get<ChatPrompt>(*request.prompt).variables ==
          R"({"messages":[{"role":"user","content":"hi"}],"add_generation_prompt":true})");
}

TEST_CASE("n choices of each prompt: indices, draws, and a prompt that counts once") {
    Fixture fixture;
    fixture.port.on_submit = [](FakePort& port, const GenerationRequest& request) {
        port.start(request.id);
        port.text(request.id, request.id.substr(request.id.find_last_of('-')));
        port.finish(request.id, request.choice == 1 ? FinishReason::length : FinishReason::stop);
    };
    const Answer answer = fixture.post(
        "/v1/completions", R"({"model":"fake","prompt":["a","b"],"n":3,"seed":9,"cache_salt":"s"})");
    REQUIRE(answer.status == 200);
    std::vector<GenerationRequest> requests;
    for (std::size_t i = 0; i < 6; ++i) {
        requests.push_back(fixture.port.generation(fixture.port.submitted(i)).request);
        const std::string choice = "/choices/" + std::to_string(i);
        CHECK(at(answer.body, choice + "/index") == std::to_string(i));
        if (i > 0) CHECK(at(answer.body, choice + "/text") == "\"-" + std::to_string(i) + "\"");
        CHECK(at(answer.body, choice + "/finish_reason") == (i % 3 == 1 ? R"("length")" : R"("stop")"));
        CHECK(*requests[i].prompt == Prompt{TextPrompt{i < 3 ? "a" : "b"}});
        CHECK(requests[i].choice == i % 3);
        CHECK(requests[i].sampling.seed == 9);
        CHECK(requests[i].cache_salt == "s");
        CHECK(requests[i].prompt_group == requests[i - i % 3].prompt_group);
        CHECK(requests[i].prompt.watch().lock() == requests[i - i % 3].prompt.watch().lock());  // not a copy
    }
    CHECK(requests[0].prompt_group != 0);
    CHECK(requests[0].prompt_group != requests[3].prompt_group);
    CHECK(at(answer.body, "/usage/prompt_tokens") == "6");
    CHECK(at(answer.body, "/usage/completion_tokens") == "6");
}

TEST_CASE("What choices took from each other was not cached before") {
    Fixture fixture;
    fixture.port.on_submit = [](FakePort& port, const GenerationRequest& request) {
        port.start(request.id);
        FinishedEvent end;
        end.reason = FinishReason::stop;
        end.usage = {30, request.choice == 1 ? 16U : 29U, 0};
        port.play(request.id, end);
    };
    for (const std::string body :
         {R"(,"n":3})", R"(,"n":3,"stream":true,"stream_options":{"include_usage":true}})"}) {
        const Answer answer = fixture.post("/v1/chat/completions", kChat + body);
        CHECK(answer.status == 200);
        CHECK(answer.body.find(R"("prompt_tokens":30)") != std::string::npos);
        CHECK(answer.body.find(R"("cached_tokens":16)") != std::string::npos);
    }
}

TEST_CASE("A client that leaves ends all its choices") {
    Fixture fixture;
    {
        TestClient client = fixture.client();
        client.send(http_request("POST", "/v1/chat/completions", kChat + R"(,"stream":true,"n":3})"));
        for (std::size_t i = 0; i < 3; ++i) REQUIRE_FALSE(fixture.port.submitted(i).empty());
    }
    for (std::size_t i = 0; i < 3; ++i) CHECK(fixture.port.wait_for_detach(fixture.port.submitted(i)));
}

TEST_CASE("A chat stream: role with the first token, then contents, reason, usage, [DONE]") {
    Fixture fixture;
    TestClient client = fixture.client();
    client.send(http_request("POST", "/v1/chat/completions",
                             kChat + R"(,"stream":true,"stream_options":{"include_usage":true}})"));
    const std::string id = fixture.port.submitted(0);
    fixture.port.start(id);
    fixture.port.text(id, "Hello");
    REQUIRE(client.read_until("Hello"));
    fixture.port.text(id, " you");
    REQUIRE(client.read_until(" you"));
    fixture.port.finish(id, FinishReason::stop);
    const Answer answer = client.read_answer();
    REQUIRE(answer.complete);
    CHECK(answer.headers.at("content-type") == "text/event-stream; charset=utf-8");
    const auto data = sse_data(answer.body);
    REQUIRE(data.size() == 6);
    CHECK(at(data[0], "/choices/0/delta") == R"({"role":"assistant","content":""})");
    CHECK(at(data[1], "/choices/0/delta") == R"({"content":"Hello"})");
    CHECK(at(data[2], "/choices/0/delta") == R"({"content":" you"})");
    CHECK(at(data[3], "/choices/0/finish_reason") == R"("stop")");
    CHECK(at(data[4], "/choices") == "[]");
    CHECK(at(data[4], "/usage/prompt_tokens_details/cached_tokens") == "1");
    CHECK(data[5] == "[DONE]");
    for (std::size_t i = 0; i < 5; ++i) {
        CHECK(at(data[i], "/id") == '"' + id + '"');
        CHECK(at(data[i], "/created") == "1700000001");
        CHECK(at(data[i], "/object") == R"("chat.completion.chunk")");
    }
}

TEST_CASE("The chunk with the last text carries the reason, though the end comes a little later") {
    Fixture fixture;
    TestClient client = fixture.client();
    client.send(http_request("POST", "/v1/chat/completions", kChat + R"(,"stream":true})"));
    const std::string id = fixture.port.submitted(0);
    fixture.port.text(id, "Hello");
    REQUIRE(client.read_until("Hello"));
    fixture.port.text(id, " you", true);
    CHECK(fixture.get("/health").status == 200);  // by now the server would have sent it
    fixture.port.finish(id, FinishReason::stop);
    const auto data = sse_data(client.read_answer().body);
    REQUIRE(data.size() == 4);
    CHECK(at(data[2], "/choices/0/delta") == R"({"content":" you"})");
    CHECK(at(data[2], "/choices/0/finish_reason") == R"("stop")");
    CHECK(data[3] == "[DONE]");
}

TEST_CASE("A stream without usage has none; one that ends at once still has its role and reason") {
    Fixture fixture;
    fixture.port.on_submit = FakePort::script({});
    const auto data = sse_data(fixture.post("/v1/chat/completions", kChat + R"(,"stream":true})").body);
    REQUIRE(data.size() == 3);
    CHECK(at(data[0], "/choices/0/delta/role") == R"("assistant")");
    CHECK(at(data[1], "/choices/0/finish_reason") == R"("stop")");
    CHECK(at(data[1], "/usage").empty());
}

TEST_CASE("Several prompts are choices with their own index, whole and streamed") {
    Fixture fixture;
    fixture.port.on_submit = [](FakePort& port, const GenerationRequest& request) {
        const auto& text = std::get<TextPrompt>(*request.prompt).text;
        FakePort::script({text, "!"})(port, request);
    };
    const std::string body = R"({"prompt":["one","two","three"])";
    const Answer whole = fixture.post("/v1/completions", body + "}");
    CHECK(at(whole.body, "/choices/0/text") == R"("one!")");
    CHECK(at(whole.body, "/choices/2/text") == R"("three!")");
    CHECK(at(whole.body, "/choices/2/index") == "2");
    CHECK(at(whole.body, "/usage/completion_tokens") == "6");
    std::vector<std::string> texts(3);
    const auto data = sse_data(fixture.post("/v1/completions", body + R"(,"stream":true})").body);
    REQUIRE(data.back() == "[DONE]");
    for (std::size_t i = 0; i + 1 < data.size(); ++i) {
        texts[std::stoul(at(data[i], "/choices/0/index"))] += string_at(data[i], "/choices/0/text");
    }
    CHECK(texts == std::vector<std::string>{"one!", "two!", "three!"});
}

TEST_CASE("Refusals keep their HTTP status, streams included") {
    struct Case {
        Error error;
        int status;
    };
    const auto c = GENERATE(values<Case>({
        {{ErrorCode::resource_exhausted, "queue full", "", "queue_full"}, 429},
        {{ErrorCode::unavailable, "draining", "", ""}, 503},
        {{ErrorCode::invalid_argument, "too long", "prompt", "context_length_exceeded"}, 400},
        {{ErrorCode::timed_out, "waited too long", "", ""}, 408},
        {{ErrorCode::internal, "oh", "", ""}, 500},
    }));
    const std::string stream = GENERATE("true", "false");
    Fixture fixture;
    fixture.port.on_submit = [&](FakePort& port, const GenerationRequest& request) {
        if (c.status == 408) port.start(request.id);  // it had been queued
        port.finish(request.id, FinishReason::failed, c.error);
    };
    const Answer answer = fixture.post("/v1/completions", kPrompt + R"(,"stream":)" + stream + "}");
    CHECK(answer.status == c.status);
    CHECK(string_at(answer.body, "/error/message") == c.error.message);
    CHECK(at(answer.body, "/error/code") == (c.error.tag.empty() ? "null" : '"' + c.error.tag + '"'));
    CHECK(at(answer.body, "/error/param") == (c.error.param.empty() ? "null" : '"' + c.error.param + '"'));
    CHECK((answer.headers.contains("retry-after") == (c.status == 429 || c.status == 503)));
}

TEST_CASE("An error in mid-stream is an event, and [DONE] follows; the other choices are given up") {
    Fixture fixture;
    TestClient client = fixture.client();
    client.send(http_request("POST", "/v1/completions", R"({"prompt":["a","b"],"stream":true})"));
    const std::string first = fixture.port.submitted(0), second = fixture.port.submitted(1);
    fixture.port.text(first, "some");
    REQUIRE(client.read_until("some"));
    fixture.port.finish(first, FinishReason::failed, internal_error("the worker is gone"));
    const Answer answer = client.read_answer();
    CHECK(answer.complete);
    const auto data = sse_data(answer.body);
    REQUIRE(data.size() == 3);
    CHECK(string_at(data[1], "/error/message") == "the worker is gone");
    CHECK(data[2] == "[DONE]");
    CHECK(fixture.port.wait_for_detach(second));
}

TEST_CASE("The status line waits for the first token, or the first keep-alive") {
    Fixture fixture([](ServerConfig& config) { config.keepalive_ms = 30; });
    TestClient client = fixture.client();
    client.send(http_request("POST", "/v1/chat/completions", kChat + R"(,"stream":true})"));
    const std::string id = fixture.port.submitted(0);
    fixture.port.start(id);
    REQUIRE(client.read_until(": keep-alive\n\n"));
    CHECK(client.received().starts_with("HTTP/1.1 200 OK"));
    fixture.port.finish(id, FinishReason::failed, Error{ErrorCode::timed_out, "waited too long", {}, {}});
    const auto data = sse_data(client.read_answer().body);  // too late for a status
    REQUIRE(data.size() >= 2);
    CHECK(string_at(data[data.size() - 2], "/error/type") == "timeout_error");
    CHECK(data.back() == "[DONE]");
}

TEST_CASE("A client that goes away cancels its generations") {
    const bool stream = GENERATE(true, false);
    const int how = GENERATE(0, 1, 2);
    Fixture fixture;
    TestClient client = fixture.client();
    client.send(
        http_request("POST", "/v1/completions", kPrompt + R"(,"stream":)" + (stream ? "true}" : "false}")));
    const std::string id = fixture.port.submitted(0);
    fixture.port.start(id);
    fixture.port.text(id, "some");
    if (stream) REQUIRE(client.read_until("some"));
    how == 0 ? client.cut() : how == 1 ? client.reset() : client.half_close();
    REQUIRE(fixture.port.wait_for_detach(id));
    CHECK(fixture.port.is_finished(id));
    while (fixture.logged().empty()) std::this_thread::yield();
    CHECK(fixture.logged()[0].status == 499);
}

TEST_CASE("A slow reader gets all text in few, large deltas, and holds no more than the text itself") {
    Fixture fixture;
    TestClient client = fixture.client();
    client.send(http_request("POST", "/v1/completions", kPrompt + R"(,"stream":true})"));
    const std::string id = fixture.port.submitted(0);
    std::string expected;
    constexpr int kTokens = 100000;  // about 20 MB as single chunks: more than the sockets hold
    for (int i = 0; i < kTokens; ++i) {
        const std::string word = std::to_string(i) + " ";
        expected += word;
        fixture.port.text(id, word);
    }
    fixture.port.finish(id, FinishReason::stop);
    const Answer answer = client.read_answer();
    const auto data = sse_data(answer.body);
    REQUIRE(data.back() == "[DONE]");
    CHECK(streamed_text(data, "/choices/0/text") == expected);
    CHECK(data.size() < kTokens / 2);
}

TEST_CASE("What a model thinks comes as reasoning_content, apart from the content") {
    Fixture fixture;
    const std::vector<std::string> texts = {"<th", "ink>\nLet me", " see.\n</thi", "nk>\n\n", "Yes", "."};
    SECTION("whole") {
        fixture.port.on_submit = [&](FakePort& port, const GenerationRequest& request) {
            port.start(request.id, 3, Thinking::outside);
            for (const auto& text : texts) port.text(request.id, text);
            port.finish(request.id, FinishReason::stop);
        };
        const Answer answer = fixture.post("/v1/chat/completions", kChat + "}");
        CHECK(at(answer.body, "/choices/0/message/content") == R"("Yes.")");
        CHECK(at(answer.body, "/choices/0/message/reasoning_content") == R"("Let me see.")");
    }
    SECTION("streamed") {
        TestClient client = fixture.client();
        client.send(http_request("POST", "/v1/chat/completions", kChat + R"(,"stream":true})"));
        const std::string id = fixture.port.submitted(0);
        fixture.port.start(id, 3, Thinking::outside);
        for (const auto& text : texts) fixture.port.text(id, text);
        REQUIRE(client.read_until("Yes"));
        fixture.port.finish(id, FinishReason::stop);
        const auto data = sse_data(client.read_answer().body);
        std::string reasoning, content;
        for (std::size_t i = 0; i + 1 < data.size(); ++i) {
            content += string_at(data[i], "/choices/0/delta/content");
            reasoning += string_at(data[i], "/choices/0/delta/reasoning_content");
        }
        CHECK(reasoning == "Let me see.");
        CHECK(content == "Yes.");
        CHECK(at(data[0], "/choices/0/delta/role") == R"("assistant")");
    }
    SECTION("a stream that ends inside") {
        fixture.port.on_submit = [&](FakePort& port, const GenerationRequest& request) {
            port.start(request.id, 3, Thinking::inside);
            port.text(request.id, "Hm </thi");
            port.finish(request.id, FinishReason::length);
        };
        const Answer answer = fixture.post("/v1/chat/completions", kChat + R"(,"stream":true})");
        CHECK(has(answer.body, R"("reasoning_content":"Hm </thi")"));
        CHECK(has(answer.body, R"("finish_reason":"length")"));
    }
    SECTION("a template that does not think") {
        fixture.port.on_submit = FakePort::script({"<think>a</think>b"});
        const Answer answer = fixture.post("/v1/chat/completions", kChat + "}");
        CHECK(at(answer.body, "/choices/0/message/content") == R"("<think>a</think>b")");
    }
}

TEST_CASE("What the chat template would let vanish is refused, with its field and the reason") {
    Fixture fixture;
    fixture.port.reads = {false, false, false, false};
    fixture.port.on_submit = FakePort::script({"x"});
    const std::string tools = R"(,"tools":[{"type":"function","function":{"name":"f"}}])";
    const std::string documents = R"(,"documents":[{"title":"t"}])";
    const auto refused = [&](const std::string& target, const std::string& body) {
        const Answer answer = fixture.post(target, body + "}");
        CHECK(answer.status == 400);
        CHECK(string_at(answer.body, "/error/code") == "unsupported_parameter");
        return string_at(answer.body, "/error/param");
    };
    const auto chat_status = [&](const std::string& more) {
        return fixture.post("/v1/chat/completions", kChat + more + "}").status;
    };
    for (const char* target : {"/v1/chat/completions", "/tokenize"}) {
        CHECK(refused(target, kChat + tools) == "tools");
        CHECK(refused(target, kChat + documents) == "documents");
        CHECK(refused(target, kChat + R"(,"reasoning_effort":"low")") == "reasoning_effort");
    }
    CHECK(refused("/v1/responses", R"({"input":"x","tools":[{"type":"function","name":"f"}])") == "tools");
    CHECK(refused("/v1/responses", R"({"input":"x","reasoning":{"effort":"high"})") == "reasoning.effort");
    CHECK(fixture.port.submitted_count() == 0);
    // What is not to be shown, and what asks for nothing, vanishes as it should.
    CHECK(chat_status(tools + R"(,"tool_choice":"none")") == 200);
    CHECK(chat_status(R"(,"tools":[],"documents":[],"reasoning_effort":"none")") == 200);
    CHECK(chat_status(R"(,"chat_template_kwargs":{"enable_thinking":false})") == 200);

    fixture.port.reads.enable_thinking = true;
    const Answer effort = fixture.post("/v1/chat/completions", kChat + R"(,"reasoning_effort":"low"})");
    CHECK(has(effort.body, "thinks or does not"));
    CHECK(chat_status(R"(,"reasoning_effort":"none")") == 200);
    fixture.port.reads = {};
    CHECK(chat_status(tools + documents + R"(,"reasoning_effort":"low")") == 200);
}

TEST_CASE("Calls of tools that the model was shown come as tool_calls") {
    Fixture fixture;
    const std::string tools = R"(,"tools":[{"type":"function","function":{"name":"f"}}])";
    fixture.port.on_submit = [](FakePort& port, const GenerationRequest& request) {
        port.start(request.id, 3, Thinking::outside);
        for (const char* text : {"<think>Hm.</think>\n\nLet me see.", "\n<tool_", "call>{\"name\":\"f\",",
                                 "\"arguments\":{\"x\":1}}</tool_call>"})
            port.text(request.id, text);
        port.finish(request.id, FinishReason::stop);
    };
    SECTION("whole") {
        const Answer answer = fixture.post("/v1/chat/completions", kChat + tools + "}");
        CHECK(at(answer.body, "/choices/0/message/content") == R"("Let me see.")");
        CHECK(at(answer.body, "/choices/0/message/reasoning_content") == R"("Hm.")");
        CHECK(at(answer.body, "/choices/0/message/tool_calls/0/function") ==
              R"({"name":"f","arguments":"{\"x\":1}"})");
        CHECK(string_at(answer.body, "/choices/0/message/tool_calls/0/id").size() == 9);
        CHECK(at(answer.body, "/choices/0/finish_reason") == R"("tool_calls")");
    }
    SECTION("streamed") {
        const Answer answer = fixture.post("/v1/chat/completions", kChat + tools + R"(,"stream":true})");
        const auto data = sse_data(answer.body);
        CHECK(streamed_text(data, "/choices/0/delta/content") == "Let me see.");
        CHECK(streamed_text(data, "/choices/0/delta/tool_calls/0/function/name") == "f");
        CHECK(at(data[data.size() - 2], "/choices/0/finish_reason") == R"("tool_calls")");
    }
    SECTION("without tools the text stays as it is") {
        const Answer answer =
            fixture.post("/v1/chat/completions", kChat + tools + R"(,"tool_choice":"none"})");
        CHECK(has(answer.body, "<tool_call>"));
        CHECK(at(answer.body, "/choices/0/finish_reason") == R"("stop")");
    }
}
