// HTTP itself: framing, limits, time-outs, keys, and the plain endpoints.
#include <chrono>
#include <thread>

#include "net/http_message.hpp"
#include "tests/net/fixture.hpp"

using namespace troupe;
using namespace troupe::net;

TEST_CASE("Health, readiness, models and metrics") {
    Fixture fixture;
    CHECK(fixture.get("/health").status == 200);
    CHECK(fixture.get("/ready").status == 200);
    const Answer models = fixture.get("/v1/models");
    CHECK(at(models.body, "/data/0/id") == R"("fake")");
    CHECK(at(models.body, "/data/0/root") == R"("/models/fake.gguf")");
    CHECK(at(models.body, "/data/0/max_model_len") == "2048");
    CHECK(fixture.get("/v1/models/fake").status == 200);
    const Answer unknown = fixture.get("/v1/models/organization/other");
    CHECK(unknown.status == 404);
    CHECK(has(unknown.body, "served: fake"));
    CHECK(has(unknown.body, "model_not_found"));
    const Answer metrics = fixture.get("/metrics");
    CHECK(metrics.headers.at("content-type") == "text/plain; version=0.0.4; charset=utf-8");
    for (const char* line :
         {"troupe:num_requests_running{model_name=\"fake\"} 2", "# TYPE troupe:prompt_tokens_total counter",
          "troupe:request_success_total{finished_reason=\"stop\",model_name=\"fake\"} 7",
          "troupe:time_to_first_token_seconds_bucket{model_name=\"fake\",le=\"0.1\"} 3",
          "troupe:time_to_first_token_seconds_bucket{model_name=\"fake\",le=\"+Inf\"} 6",
          "troupe:time_to_first_token_seconds_sum{model_name=\"fake\"} 4.5", "troupe:open_connections 1",
          "troupe:responses_retained 3"}) {
        CHECK(has(metrics.body, line));
    }
}

TEST_CASE("While loading or draining: alive, not ready, 503 with Retry-After") {
    Fixture fixture;
    fixture.port.server_state = GENERATE(ServerState::loading, ServerState::draining);
    CHECK(fixture.get("/health").status == 200);
    CHECK(fixture.get("/ready").status == 503);
    const auto refused = [](const Answer& answer) {
        return answer.status == 503 && answer.headers.contains("retry-after");
    };
    CHECK(refused(fixture.post("/v1/completions", R"({"prompt":"x","stream":true})")));
    CHECK(refused(fixture.post("/v1/chat/completions", R"({"messages":[{"role":"user","content":"x"}]})")));
    CHECK(refused(fixture.post("/v1/responses", R"({"input":"x"})")));
    CHECK(refused(fixture.post("/tokenize", R"({"prompt":"x"})")));
}

TEST_CASE("Without a worker requests are taken, and readiness says so") {
    Fixture fixture;
    fixture.port.server_state = ServerState::no_worker;
    fixture.port.on_submit = FakePort::script({"x"});
    CHECK(fixture.get("/ready").status == 503);
    CHECK(fixture.post("/v1/completions", R"({"prompt":"x"})").status == 200);
}

TEST_CASE("With several models a request names one of them") {
    Fixture fixture;
    fixture.port.more_models = {{"org/b", {}, "/models/b.gguf", 1700000000, 512},
                                {"c", {}, "/models/c.gguf", 1700000000, 512, ServerState::failed}};
    fixture.port.on_submit = FakePort::script({"x"});
    const Answer models = fixture.get("/v1/models");
    CHECK(at(models.body, "/data/1/id") == R"("org/b")");
    CHECK(at(models.body, "/data/1/root") == R"("/models/b.gguf")");
    CHECK(at(models.body, "/data/1/max_model_len") == "512");
    CHECK(fixture.get("/v1/models/org/b").status == 200);
    for (const char* path : {"/v1/completions", "/tokenize"}) {
        for (const char* named : {R"({"prompt":"x"})", R"({"prompt":"x","model":"d"})"}) {
            const Answer unnamed = fixture.post(path, named);
            CHECK(unnamed.status == 404);
            CHECK(has(unnamed.body, "served: fake, org/b, c"));
            CHECK(has(unnamed.body, "model_not_found"));
        }
    }
    const Answer answer = fixture.post("/v1/completions", R"({"prompt":"x","model":"org/b"})");
    CHECK(at(answer.body, "/model") == R"("org/b")");
    CHECK(fixture.port.generation(fixture.port.submitted(0)).request.model == "org/b");
    CHECK(at(fixture.post("/tokenize", R"({"prompt":"x","model":"org/b"})").body, "/max_model_len") == "512");
    CHECK(has(fixture.post("/detokenize", R"({"tokens":[1],"model":"org/b"})").body, "org/b:<1>"));
    CHECK(has(fixture.get("/metrics").body, "troupe:num_requests_running{model_name=\"org/b\"} 1"));

    // One that has failed is refused by itself, and readiness names it.
    const Answer failed = fixture.post("/v1/completions", R"({"prompt":"x","model":"c"})");
    CHECK(failed.status == 503);
    CHECK(has(failed.body, "model_failed"));
    const Answer ready = fixture.get("/ready");
    CHECK(ready.status == 200);
    CHECK(has(ready.body, "c has no worker any more"));
}

TEST_CASE("Tokenize and detokenize") {
    Fixture fixture;
    const Answer text = fixture.post("/tokenize", R"({"prompt":"abc"})");
    CHECK(text.body == R"({"count":3,"max_model_len":2048,"tokens":[1,2,3],"token_strs":null})");
    fixture.port.tokenizer = [](const Prompt& prompt) -> Result<std::vector<TokenId>> {
        if (std::holds_alternative<ChatPrompt>(prompt)) return std::vector<TokenId>{7};
        return internal_error("oh");
    };
    CHECK(at(fixture.post("/tokenize", R"({"messages":[{"role":"user","content":"x"}]})").body, "/tokens") ==
          "[7]");
    const std::string chat = R"({"messages":[{"role":"user","content":"x"}],"add_special_tokens":)";
    CHECK(fixture.post("/tokenize", chat + "false}").status == 200);
    const Answer special = fixture.post("/tokenize", chat + "true}");
    CHECK(special.status == 400);
    CHECK(string_at(special.body, "/error/param") == "add_special_tokens");
    CHECK(string_at(fixture.post("/tokenize", R"({"prompt":"x","return_token_strs":true})").body,
                    "/error/param") == "return_token_strs");
    CHECK(fixture.post("/tokenize", R"({"prompt":"x"})").status == 500);
    CHECK(fixture.post("/tokenize", R"({})").status == 400);
    CHECK(fixture.post("/detokenize", R"({"tokens":[1,2]})").body == R"({"prompt":"<1><2>"})");
    CHECK(fixture.post("/detokenize", R"({"tokens":["a"]})").status == 400);
}

TEST_CASE("Texts to tokenize have a limit of their own") {
    Fixture fixture([](ServerConfig& config) { config.max_tokenize_bytes = 1024; });
    const auto prompt = [](std::size_t bytes) { return "{\"prompt\":\"" + std::string(bytes, 'x') + "\"}"; };
    CHECK(fixture.post("/tokenize", prompt(1024)).status == 200);
    const Answer text = fixture.post("/tokenize", prompt(1025));
    CHECK(text.status == 413);
    CHECK(string_at(text.body, "/error/param") == "prompt");
    CHECK(has(text.body, "--max-tokenize-size 1 KiB"));
    const Answer chat = fixture.post(
        "/tokenize", R"({"messages":[{"role":"user","content":")" + std::string(1100, 'x') + "\"}]}");
    CHECK(chat.status == 413);
    CHECK(string_at(chat.body, "/error/param") == "messages");
    std::string ids = "1";
    for (int i = 1; i < 256; ++i) ids += ",1";
    CHECK(fixture.post("/detokenize", "{\"tokens\":[" + ids + "]}").status == 200);
    const Answer many = fixture.post("/detokenize", "{\"tokens\":[" + ids + ",1]}");
    CHECK(many.status == 413);
    CHECK(string_at(many.body, "/error/param") == "tokens");
}

TEST_CASE("What a client that has left wanted to be tokenized is let go") {
    Fixture fixture;
    fixture.port.keeps_texts = true;
    TestClient client = fixture.client();
    const std::string text(20000, 'x');
    client.send(http_request("POST", "/tokenize", R"({"prompt":")" + text + "\"}"));
    while (fixture.port.text().expired()) std::this_thread::yield();
    CHECK(*fixture.port.text().lock() == Prompt{TextPrompt{text}});
    client.cut();
    for (int i = 0; i < 2000 && !fixture.port.text().expired(); ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    CHECK(fixture.port.text().expired());
}

TEST_CASE("A model may have several names: any is accepted, all are listed, the first is answered") {
    Fixture fixture;
    fixture.port.aliases = {"gpt-4o", "org/other"};
    fixture.port.on_submit = FakePort::script({"x"});
    const Answer models = fixture.get("/v1/models");
    CHECK(string_at(models.body, "/data/0/id") == "fake");
    CHECK(string_at(models.body, "/data/1/id") == "gpt-4o");
    CHECK(string_at(models.body, "/data/2/id") == "org/other");
    CHECK(at(models.body, "/data/2/root") == R"("/models/fake.gguf")");
    CHECK(string_at(fixture.get("/v1/models/org/other").body, "/id") == "org/other");
    const Answer answer = fixture.post("/v1/completions", R"({"prompt":"x","model":"gpt-4o"})");
    CHECK(answer.status == 200);
    CHECK(string_at(answer.body, "/model") == "fake");
    CHECK(fixture.port.generation(fixture.port.submitted(0)).request.model == "fake");
    CHECK(fixture.post("/v1/completions", R"({"prompt":"x"})").status == 200);  // it is still one model
    CHECK(has(fixture.post("/tokenize", R"({"prompt":"x","model":"d"})").body,
              "served: fake, gpt-4o, org/other"));
}

TEST_CASE("A target in absolute form is served") {
    Fixture fixture;
    for (const char* target : {"http://somewhere/health", "HTTPS://127.0.0.1:8000/health?x=1", "/health"}) {
        CAPTURE(target);
        CHECK(fixture.get(target).body == R"({"status":"ok"})");
    }
    CHECK(has(fixture.get("http://somewhere").body, "nothing at GET /"));
    CHECK(has(fixture.get("http://somewhere?x").body, "nothing at GET /"));
    CHECK(fixture.get("ftp://somewhere/health").status == 404);
    CHECK(fixture.get("http:/health").status == 404);
}

TEST_CASE("Unknown paths and methods") {
    Fixture fixture;
    CHECK(fixture.get("/nothing").status == 404);
    CHECK(fixture.get("/v1/responses/other_1").status == 404);
    const Answer answer = fixture.get("/v1/completions");
    CHECK(answer.status == 405);
    CHECK(answer.headers.at("allow") == "POST");
    CHECK(string_at(answer.body, "/error/type") == "invalid_request_error");
    TestClient client = fixture.client();
    CHECK(client.request("DELETE", "/health").headers.at("allow") == "GET, HEAD");
}

TEST_CASE("HEAD is GET without the body") {
    Fixture fixture;
    TestClient client = fixture.client();
    const Answer head = client.request("HEAD", "/v1/models");
    CHECK(head.status == 200);
    const Answer get = client.get("/v1/models");
    CHECK(head.headers.at("content-length") == std::to_string(get.body.size()));
}

TEST_CASE("The key is asked for where there is one to guard") {
    Fixture fixture([](ServerConfig& config) { config.api_key = "secret"; });
    CHECK(fixture.get("/health").status == 200);
    CHECK(fixture.get("/metrics").status == 200);
    const Answer missing = fixture.get("/v1/models");
    CHECK(missing.status == 401);
    CHECK(string_at(missing.body, "/error/code") == "missing_api_key");
    for (const char* wrong : {"Bearer secre", "Bearer secrets", "Bearer ", "Basic secret", "secret"}) {
        TestClient client = fixture.client();
        CHECK(
            client.request("GET", "/v1/models", "", "Authorization: " + std::string(wrong) + "\r\n").status ==
            401);
    }
    TestClient client = fixture.client();
    CHECK(client.request("GET", "/v1/models", "", "Authorization: Bearer secret\r\n").status == 200);
    CHECK(client.request("GET", "/v1/models", "", "Authorization: bearer secret\r\n").status == 200);
}

TEST_CASE("A header that decides is answered before the body has come") {
    Fixture fixture([](ServerConfig& config) { config.api_key = "secret"; });
    const std::string key = "Authorization: Bearer secret\r\n";
    struct Case {
        std::string begin, headers;
        int status;
    };
    for (const Case& c : std::vector<Case>{{"POST /v1/completions", "", 401},
                                           {"POST /nothing", key, 404},
                                           {"PUT /v1/completions", key, 405}}) {
        CAPTURE(c.begin);
        for (const char* more : {"", "Expect: 100-continue\r\n"}) {
            TestClient client = fixture.client();
            client.send(c.begin + " HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n" + c.headers + more +
                        "\r\n{");
            const Answer answer = client.read_answer();
            CHECK(answer.status == c.status);
            CHECK(answer.headers.at("connection") == "close");
            CHECK(client.closed_by_peer());
        }
    }
    TestClient client = fixture.client();  // without a body there is nothing to leave behind
    CHECK(client.get("/v1/models").status == 401);
    CHECK(client.request("GET", "/v1/models", "", key).status == 200);
}

TEST_CASE("Bodies that arrive at the same time share a budget") {
    Fixture fixture([](ServerConfig& config) {
        config.max_body_bytes = 100'000;
        config.max_body_memory = 6'400'000;
    });
    std::vector<std::unique_ptr<TestClient>> slow;
    for (int i = 0; i < 64; ++i) {
        slow.push_back(std::make_unique<TestClient>(fixture.number));
        slow.back()->send("POST /tokenize HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" +
                          std::string(99'999, 'x'));
    }
    const auto post_until = [&](int wanted) {
        Answer answer;
        for (int i = 0; i < 1000 && answer.status != wanted; ++i) {
            answer = fixture.post("/tokenize", std::string(90'000, 'x'));
        }
        return answer;
    };
    const Answer refused = post_until(503);
    REQUIRE(refused.status == 503);
    CHECK(string_at(refused.body, "/error/code") == "too_many_body_bytes");
    CHECK(refused.headers.contains("retry-after"));
    CHECK(fixture.get("/health").status == 200);
    CHECK(fixture.post("/tokenize", R"({"prompt":"x"})").status == 200);  // small bodies are not counted
    slow[0].reset();                                                      // its client went away
    CHECK(post_until(400).status == 400);
    slow[1]->send("x");  // the body is complete, and parsed
    CHECK(slow[1]->read_answer().status == 400);
    slow[0] = std::make_unique<TestClient>(fixture.number);
    CHECK(post_until(400).status == 400);
}

TEST_CASE("Prompts that wait to be read are in the budget of bodies, and small ones pass") {
    Fixture fixture([](ServerConfig& config) { config.max_body_memory = 250'000; });
    const std::string text(100'000, 'x'), completion = R"({"prompt":")" + text + "\"}";
    const std::string response = R"({"input":")" + text + "\"}";
    TestClient client = fixture.client();
    client.send(http_request("POST", "/v1/completions", R"({"prompt":")" + text + R"(","n":2})"));
    REQUIRE_FALSE(fixture.port.submitted(1).empty());  // one prompt of two choices
    for (const auto& [path, body] : {std::pair{"/v1/completions", completion}, {"/v1/responses", response}}) {
        const Answer refused =
            fixture.post(path, body);  // it has arrived, but there is no room for its prompt
        CHECK(refused.status == 503);
        CHECK(string_at(refused.body, "/error/code") == "too_many_body_bytes");
        CHECK(refused.headers.contains("retry-after"));
    }
    CHECK(fixture.port.submitted_count() == 2);
    CHECK(fixture.post("/tokenize", R"({"prompt":"x"})").status == 200);
    fixture.port.forget_prompt(fixture.port.submitted(0));  // both are prepared
    fixture.port.forget_prompt(fixture.port.submitted(1));
    CHECK(fixture.post("/tokenize", completion).status == 200);
}

TEST_CASE("Request ids are echoed if they are sane, otherwise made; each request is logged once") {
    Fixture fixture;
    TestClient client = fixture.client();
    CHECK(client.request("GET", "/health", "", "X-Request-Id: my-id-7\r\n").headers.at("x-request-id") ==
          "my-id-7");
    for (const std::string& bad : {std::string(129, 'a'), std::string("a b"), std::string("\xC3\xA9")}) {
        const Answer answer = client.request("GET", "/health", "", "X-Request-Id: " + bad + "\r\n");
        CHECK(answer.headers.at("x-request-id").starts_with("req_"));
    }
    client.get("/nothing");
    while (fixture.logged().size() < 5) std::this_thread::yield();
    const auto log = fixture.logged();
    CHECK(log[0].request_id == "my-id-7");
    CHECK(log[0].path == "/health");
    CHECK(log[4].status == 404);
    CHECK(log[4].bytes > 100);
    CHECK(log_line(log[0], true)
              .starts_with(R"({"event":"request","method":"GET","path":"/health","status":200)"));
}

TEST_CASE("Keep-alive and pipelining: answers come in order, also around a stream") {
    Fixture fixture;
    fixture.port.on_submit = FakePort::script({"streamed"});
    TestClient client = fixture.client();
    std::string all = http_request("GET", "/v1/models/fake");
    all += http_request("POST", "/v1/completions", R"({"prompt":"x","stream":true})");
    all += http_request("GET", "/nothing") + http_request("POST", "/detokenize", R"({"tokens":[9]})");
    client.send(all);
    CHECK(client.read_answer().status == 200);
    const std::string stream = client.read_answer().body;
    CHECK(has(stream, "streamed"));
    CHECK(has(stream, "[DONE]"));
    CHECK(client.read_answer().status == 404);
    CHECK(client.read_answer().body == R"({"prompt":"<9>"})");
}

TEST_CASE("Requests pipelined behind a running generation wait for it") {
    Fixture fixture;
    TestClient client = fixture.client();
    client.send(http_request("POST", "/v1/completions", R"({"prompt":"x"})"));
    const std::string id = fixture.port.submitted(0);
    client.send(http_request("GET", "/health"));
    fixture.port.finish(id, FinishReason::stop);
    CHECK(at(client.read_answer().body, "/object") == R"("text_completion")");
    CHECK(client.read_answer().body == R"({"status":"ok"})");
}

TEST_CASE("A client that has closed its half still gets cheap answers") {
    Fixture fixture;
    TestClient client = fixture.client();
    client.send(http_request("GET", "/health") + http_request("POST", "/detokenize", R"({"tokens":[9]})"));
    client.half_close();
    CHECK(client.read_answer().status == 200);
    CHECK(client.read_answer().status == 200);
    CHECK(client.closed_by_peer());
}

TEST_CASE("A client that closes its half ends its generation, and is told so") {
    Fixture fixture;
    TestClient client = fixture.client();
    SECTION("whole") {
        client.send(http_request("POST", "/v1/completions", R"({"prompt":"x"})"));
        const std::string id = fixture.port.submitted(0);
        client.half_close();
        const Answer answer = client.read_answer();
        CHECK(answer.status == 499);
        CHECK(answer.headers.at("connection") == "close");
        CHECK(string_at(answer.body, "/error/code") == "cancelled");
        CHECK(fixture.port.wait_for_detach(id));
    }
    SECTION("streamed") {
        client.send(http_request("POST", "/v1/completions", R"({"prompt":"x","stream":true})"));
        const std::string id = fixture.port.submitted(0);
        fixture.port.start(id);
        fixture.port.text(id, "one");
        REQUIRE(client.read_until("one"));
        client.half_close();
        const Answer answer = client.read_answer();
        CHECK(answer.complete);
        const auto data = sse_data(answer.body);
        REQUIRE(data.size() == 3);
        CHECK(string_at(data[1], "/error/code") == "cancelled");
        CHECK(data[2] == "[DONE]");
        CHECK(fixture.port.wait_for_detach(id));
    }
    CHECK(client.closed_by_peer());
    while (fixture.logged().empty()) std::this_thread::yield();
    CHECK(fixture.logged()[0].status == 499);
}

TEST_CASE(
    "A client that sends much behind a running generation is not read any further, so it is sent away") {
    Fixture fixture;
    TestClient client = fixture.client();
    client.send(http_request("POST", "/v1/completions", R"({"prompt":"x"})"));
    const std::string id = fixture.port.submitted(0);
    client.send(http_request("POST", "/tokenize", std::string(100'000, 'x')));
    const Answer answer = client.read_answer();
    CHECK(answer.status == 499);
    CHECK(has(answer.body, "65536 bytes"));
    CHECK(fixture.port.wait_for_detach(id));
    CHECK(client.closed_by_peer());
}

TEST_CASE("Connection: close and HTTP/1.0 end the connection; 1.0 streams have no chunks") {
    Fixture fixture;
    fixture.port.on_submit = FakePort::script({"streamed"});
    {
        TestClient client = fixture.client();
        CHECK(client.request("GET", "/health", "", "Connection: close\r\n").headers.at("connection") ==
              "close");
        CHECK(client.closed_by_peer());
    }
    TestClient client = fixture.client();
    const std::string body = R"({"prompt":"x","stream":true})";
    client.send("POST /v1/completions HTTP/1.0\r\nContent-Length: " + std::to_string(body.size()) +
                "\r\n\r\n" + body);
    const Answer answer = client.read_answer();
    CHECK_FALSE(answer.headers.contains("transfer-encoding"));
    CHECK(sse_data(answer.body).back() == "[DONE]");
}

TEST_CASE("Expect: 100-continue is answered before the body is read") {
    Fixture fixture;
    TestClient client = fixture.client();
    client.send("POST /detokenize HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 14\r\n\r\n");
    CHECK(client.read_answer(true).status == 100);
    client.send(R"({"tokens":[9]})");
    CHECK(client.read_answer().status == 200);
}

TEST_CASE("Chunked bodies are read") {
    Fixture fixture;
    TestClient client = fixture.client();
    client.send(
        "POST /detokenize HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        "7\r\n{\"token\r\n7\r\ns\":[9]}\r\n0\r\n\r\n");
    CHECK(client.read_answer().body == R"({"prompt":"<9>"})");
}

TEST_CASE("Too much is refused: bodies with 413, headers with 431, and the reason arrives") {
    Fixture fixture([](ServerConfig& config) { config.max_body_bytes = 1000; });
    SECTION("a body that says its size") {
        TestClient client = fixture.client();
        const Answer answer = client.post("/tokenize", std::string(2'000'000, 'x'));
        CHECK(answer.status == 413);
        CHECK(has(answer.body, "1000 bytes"));
        CHECK(has(answer.body, "body_too_large"));
    }
    SECTION("a chunked one") {
        TestClient client = fixture.client();
        client.send("POST /tokenize HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (int i = 0; i < 20; ++i) client.send("64\r\n" + std::string(100, 'x') + "\r\n");
        CHECK(client.read_answer().status == 413);
    }
    SECTION("one that waits to be told to go on") {
        TestClient client = fixture.client();
        client.send(
            "POST /tokenize HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2000\r\n\r\n");
        CHECK(client.read_answer().status == 413);
    }
    SECTION("headers") {
        TestClient client = fixture.client();
        CHECK(client.request("GET", "/health", "", "X: " + std::string(20000, 'x') + "\r\n").status == 431);
    }
    CHECK(fixture.get("/health").status == 200);
}

TEST_CASE("What is not HTTP gets a 400 and harms nobody") {
    Fixture fixture;
    for (const std::string& bytes :
         {std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 15), std::string("GET\r\n\r\n"),
          std::string("GET / HTTP/9.9\r\n\r\n"),
          std::string("POST /tokenize HTTP/1.1\r\nContent-Length: -5\r\n\r\n"),
          std::string("POST /tokenize HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n"),
          std::string("POST /tokenize HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
          std::string("GET /health HTTP/1.1\r\nBad Header\r\n\r\n")}) {
        TestClient client = fixture.client();
        client.send(bytes);
        CHECK(client.read_answer().status == 400);
    }
    TestClient half = fixture.client();
    half.send("POST /tokenize HTTP/1.1\r\nContent-Length: 10\r\n\r\n{");
    half.half_close();
    CHECK(has(half.read_answer().body, "ended in the middle"));
    CHECK(fixture.get("/health").status == 200);
}

TEST_CASE("Slow clients are sent away") {
    Fixture fixture([](ServerConfig& config) {
        config.read_timeout_ms = 100;
        config.idle_timeout_ms = 100;
        config.write_timeout_ms = 100;
    });
    SECTION("in the header") {
        TestClient client = fixture.client();
        client.send("GET /heal");
        CHECK(client.read_answer().status == 408);
    }
    SECTION("in the body") {
        TestClient client = fixture.client();
        client.send("POST /tokenize HTTP/1.1\r\nContent-Length: 10\r\n\r\n{");
        CHECK(client.read_answer().status == 408);
    }
    SECTION("a byte at a time does not help") {
        TestClient client = fixture.client();
        const auto began = std::chrono::steady_clock::now();
        std::thread dripping([&client] {
            for (int i = 0; i < 30; ++i) {
                client.send("G");
                std::this_thread::sleep_for(std::chrono::milliseconds(20));
            }
        });
        CHECK(client.read_answer().status == 408);
        CHECK(std::chrono::steady_clock::now() - began < std::chrono::milliseconds(550));
        dripping.join();
    }
    SECTION("without any request: silently") {
        TestClient client = fixture.client();
        CHECK(client.closed_by_peer());
        CHECK(client.received().empty());
    }
    SECTION("between requests") {
        TestClient client = fixture.client();
        CHECK(client.get("/health").status == 200);
        CHECK(client.closed_by_peer());
    }
    SECTION("a reader that takes nothing is given up, and its generation with it") {
        TestClient client = fixture.client();
        client.send(http_request("POST", "/v1/completions", R"({"prompt":"x","stream":true})"));
        const std::string id = fixture.port.submitted(0);
        for (int i = 0; i < 40; ++i) fixture.port.text(id, std::string(1'000'000, 'x'));
        CHECK(fixture.port.wait_for_detach(id));
    }
}

TEST_CASE("A generation may take longer than the time-outs") {
    Fixture fixture([](ServerConfig& config) {
        config.read_timeout_ms = 50;
        config.idle_timeout_ms = 50;
    });
    TestClient client = fixture.client();
    client.send(http_request("POST", "/v1/completions", R"({"prompt":"x"})"));
    const std::string id = fixture.port.submitted(0);
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    fixture.port.finish(id, FinishReason::stop);
    CHECK(client.read_answer().status == 200);
}

TEST_CASE("Connections beyond the limit are told so; a place that becomes free is given away again") {
    Fixture fixture([](ServerConfig& config) { config.max_connections = 2; });
    auto first = std::make_unique<TestClient>(fixture.number);
    TestClient second = fixture.client();
    CHECK(first->get("/health").status == 200);
    CHECK(second.get("/health").status == 200);
    {
        TestClient third = fixture.client();
        const Answer answer = third.read_answer();
        CHECK(answer.status == 503);
        CHECK(has(answer.body, "all 2 connections are taken"));
        CHECK(third.closed_by_peer());
    }
    first.reset();
    int status = 0;
    for (int i = 0; i < 500 && status != 200; ++i) status = fixture.get("/health").status;
    CHECK(status == 200);
}

TEST_CASE("A taken port is said so") {
    Fixture fixture;
    ServerConfig config;
    config.port = fixture.number;
    Server second(config, fixture.port);
    const auto started = second.start();
    REQUIRE_FALSE(started.ok());
    CHECK(has(started.error().message, "taken by another program"));
}

TEST_CASE("Stopping lets what runs out finish sending, and closes the rest") {
    Fixture fixture;
    TestClient idle = fixture.client(), busy = fixture.client();
    CHECK(idle.get("/health").status == 200);
    busy.send(http_request("POST", "/v1/completions", R"({"prompt":"x"})"));
    const std::string id = fixture.port.submitted(0);
    fixture.server->stop_accepting();
    std::thread stopping([&] { fixture.server->stop(); });
    CHECK(idle.closed_by_peer());
    fixture.port.finish(id, FinishReason::stop);
    const Answer answer = busy.read_answer();
    CHECK(answer.status == 200);
    stopping.join();
    CHECK_THROWS(fixture.client());
}
