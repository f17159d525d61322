// What an operator sets: keys and their limits, pages of other origins, administration, places for
// connections.
#include <thread>

#include "net/api_keys.hpp"
#include "net/lease_keeper.hpp"
#include "tests/net/certificate.hpp"
#include "tests/net/fixture.hpp"
#include "tests/net/ws_events.hpp"

using namespace troupe;
using namespace troupe::net;

namespace {

const std::string kPrompt = R"({"prompt":"x"})";

std::string bearer(const std::string& key) { return "Authorization: Bearer " + key + "\r\n"; }

Answer post_with(const Fixture& fixture, const std::string& key, const std::string& target,
                 const std::string& body = kPrompt) {
    return fixture.client().request("POST", target, body, bearer(key));
}

// A server whose keys are those of a file.
struct KeyFixture {
    explicit KeyFixture(const std::string& lines)
        : path(folder.write("keys", lines)),
          fixture([this](ServerConfig& config) { config.api_key_file = path; }) {}

    TemporaryFolder folder;
    std::string path;
    Fixture fixture;
};

std::string file_error(const std::string& lines) {
    TemporaryFolder folder;
    ServerConfig config;
    config.api_key_file = folder.write("keys", lines);
    const auto keys = ApiKeys::load(config);
    return keys ? "" : keys.error().message;
}

}  // namespace

TEST_CASE("Keys of a file: each is let in, has its name in the log and its tenant in the request") {
    KeyFixture keys("# who may\n\nsk-a name=alice tenant=red\nsk-b tenant=red # the same team\n  sk-c\t\n");
    Fixture& fixture = keys.fixture;
    fixture.port.on_submit = FakePort::script({"x"});
    for (const char* key : {"sk-a", "sk-b", "sk-c"}) {
        CHECK(post_with(fixture, key, "/v1/completions").status == 200);
    }
    const auto tenant = [&](std::size_t n) {
        return fixture.port.generation(fixture.port.submitted(n)).request.tenant;
    };
    CHECK(tenant(0) == tenant(1));
    CHECK(tenant(0) != tenant(2));
    CHECK(tenant(2) != 0);
    CHECK(post_with(fixture, "sk-d", "/v1/completions").status == 401);
    CHECK(fixture.post("/v1/completions", kPrompt).status == 401);
    while (fixture.logged().size() < 5) std::this_thread::yield();
    const auto log = fixture.logged();
    CHECK(log[0].key == "alice");
    CHECK(log[1].key.starts_with("key-"));
    CHECK(log[1].key != log[2].key);
    CHECK(log[3].key.empty());
    for (const RequestLog& entry : log) CHECK_FALSE(has(log_line(entry, true), "sk-"));
    CHECK(has(log_line(log[0], true), R"("key":"alice")"));
    CHECK(has(log_line(log[0], false), "key=alice"));
}

TEST_CASE("A response's tenant is its key's, over HTTP and WebSocket") {
    KeyFixture keys("sk-a name=alice\n");
    keys.fixture.port.on_submit = FakePort::script({"x"});
    CHECK(post_with(keys.fixture, "sk-a", "/v1/completions").status == 200);
    CHECK(post_with(keys.fixture, "sk-a", "/v1/responses", R"({"input":"x"})").status == 200);
    WsClient socket(keys.fixture.number, "/v1/responses", "sk-a");
    socket.send(R"({"type":"response.create","input":"x"})");
    const auto tenant = [&](std::size_t n) {
        return keys.fixture.port.generation(keys.fixture.port.submitted(n)).request.tenant;
    };
    CHECK(tenant(0) != 0);
    CHECK(tenant(1) == tenant(0));
    CHECK(tenant(2) == tenant(0));
}

TEST_CASE(
    "Another tenant's response is unknown, over HTTP and WebSocket; the own tenant's other keys have it") {
    KeyFixture keys("sk-a name=alice tenant=t1\nsk-b name=bob tenant=t2\nsk-c name=carol tenant=t1\n");
    FakePort& port = keys.fixture.port;
    port.on_submit = [](FakePort& fake, const GenerationRequest& request) { fake.start(request.id); };
    CHECK(post_with(keys.fixture, "sk-a", "/v1/responses", R"({"input":"x","background":true})").status ==
          200);
    const std::string id = port.submitted(0);
    // What a key is told of that response and of one that does not exist, with the ids made the same.
    const auto told = [&](const std::string& key, const std::string& what) {
        std::vector<std::string> answers;
        const std::string path = "/v1/responses/" + what;
        const auto client = [&] { return keys.fixture.client(); };
        answers.push_back(client().request("GET", path, "", bearer(key)).body);
        answers.push_back(client().request("GET", path + "?stream=true", "", bearer(key)).body);
        answers.push_back(client().request("POST", path + "/cancel", "", bearer(key)).body);
        const std::string next = R"("input":"y","previous_response_id":")" + what + R"("})";
        answers.push_back(post_with(keys.fixture, key, "/v1/responses", "{" + next).body);
        WsClient socket(keys.fixture.number, "/v1/responses", key);
        for (const std::string& message : {R"({"type":"response.create",)" + next,
                                           R"({"type":"response.resume","response_id":")" + what + R"("})",
                                           R"({"type":"response.cancel","response_id":")" + what + R"("})"}) {
            socket.send(message);
            answers.push_back(socket.read());
        }
        for (std::string& answer : answers) {
            for (auto at = answer.find(what); at != answer.npos; at = answer.find(what))
                answer.replace(at, what.size(), "ID");
        }
        return answers;
    };
    const auto others = told("sk-b", id);
    CHECK(others == told("sk-b", "resp_0"));
    for (const std::string& answer : others) CHECK(has(answer, "not_found"));
    CHECK_FALSE(port.is_finished(id));
    CHECK(port.submitted(0) == id);

    port.text(id, "mine");
    port.finish(id, FinishReason::stop);
    CHECK(told("sk-b", id) == others);
    const auto own = keys.fixture.client().request("GET", "/v1/responses/" + id, "", bearer("sk-c"));
    CHECK(own.status == 200);
    CHECK(has(own.body, "mine"));
    port.on_submit = FakePort::script({"more"});
    CHECK(post_with(keys.fixture, "sk-c", "/v1/responses",
                    R"({"input":"y","previous_response_id":")" + id + R"("})")
              .status == 200);
}

TEST_CASE("A key file's mistakes name the line") {
    CHECK(file_error("sk-a\nsk-b name=b admin concurrent=4 rate=10/s\n").empty());
    CHECK(has(file_error("sk-a\nsk-b colour=red\n"), "keys:2: 'colour=red' is unknown"));
    CHECK(has(file_error("sk-a rate=fast\n"), "keys:1: 'fast' is no rate"));
    CHECK(has(file_error("sk-a rate=10/day\n"), "no rate"));
    CHECK(has(file_error("sk-a rate=0/s\n"), "no rate"));
    CHECK(has(file_error("sk-a concurrent=0\n"), "keys:1: concurrent"));
    CHECK(has(file_error("sk-a name=\n"), "has no value"));
    CHECK(has(file_error("sk-a\nsk-a\n"), "keys:2: this key is given twice"));
    CHECK(has(file_error("k\xC3\xA4se\n"), "visible ASCII"));
    CHECK(has(file_error(std::string(300, 'k') + "\n"), "1 to 256"));
    CHECK(has(file_error("# none\n"), "holds no key"));
    ServerConfig config;
    config.api_key_file = "/nonexistent/keys";
    CHECK(has(ApiKeys::load(config).error().message, "/nonexistent/keys cannot be read"));
    config.api_key_file = "/tmp";
    CHECK_FALSE(ApiKeys::load(config).ok());
}

TEST_CASE("A key's rate: 429 names the limit and when to try again; others go on") {
    KeyFixture keys("sk-a rate=2/h\nsk-b\n");
    Fixture& fixture = keys.fixture;
    for (int i = 0; i < 2; ++i) CHECK(post_with(fixture, "sk-a", "/tokenize").status == 200);
    const Answer refused = post_with(fixture, "sk-a", "/tokenize");
    CHECK(refused.status == 429);
    CHECK(string_at(refused.body, "/error/code") == "key_rate_limit");
    CHECK(string_at(refused.body, "/error/type") == "rate_limit_error");
    const int wait = std::stoi(refused.headers.at("retry-after"));
    CHECK(wait > 1700);
    CHECK(wait <= 1800);
    CHECK(fixture.client().request("GET", "/v1/models", "", bearer("sk-a")).status == 200);  // costs nothing
    CHECK(post_with(fixture, "sk-b", "/tokenize").status == 200);
    // A reload does not give it new requests.
    REQUIRE(fixture.server->reload().ok());
    CHECK(post_with(fixture, "sk-a", "/tokenize").status == 429);
}

TEST_CASE("What a rate allows flows back evenly") {
    KeyUse use;
    const KeyLimits limits{0, 10, std::chrono::seconds(1)};
    const auto begin = KeyUse::Clock::now();
    for (int i = 0; i < 10; ++i) CHECK_FALSE(use.begin(limits, begin));
    CHECK(use.begin(limits, begin));
    CHECK(use.begin(limits, begin + std::chrono::milliseconds(99)));
    CHECK_FALSE(use.begin(limits, begin + std::chrono::milliseconds(101)));
    CHECK(use.begin(limits, begin + std::chrono::milliseconds(150)));
    const auto later = begin + std::chrono::hours(1);
    for (int i = 0; i < 10; ++i) CHECK_FALSE(use.begin(limits, later));
    CHECK(use.begin(limits, later));
}

TEST_CASE("A key that is refused often is a flood, until it has been quiet") {
    KeyUse use;
    const KeyLimits limits{.concurrent = 1};
    const KeyUse::Clock::time_point start{};
    CHECK_FALSE(use.begin(limits, start));
    for (int i = 0; i < 20; ++i) CHECK_FALSE(use.begin(limits, start)->flood);
    CHECK(use.begin(limits, start)->flood);
    CHECK(use.begin(limits, start + std::chrono::milliseconds(100))->flood);
    CHECK_FALSE(use.begin(limits, start + std::chrono::seconds(1))->flood);
}

TEST_CASE("A flood of requests beyond a key's limits is read slowly, and what runs is not") {
    KeyFixture keys("sk-a concurrent=1\n");
    WsClient socket(keys.fixture.number, "/v1/responses", "sk-a");
    socket.send(create("run", "x"));
    const std::string id = keys.fixture.port.submitted(0);
    keys.fixture.port.start(id);
    read_until(socket, "response.in_progress");
    const auto began = std::chrono::steady_clock::now();
    for (int i = 0; i < 24; ++i) socket.send(create(std::to_string(i), "x"));
    for (int i = 0; i < 20; ++i)
        CHECK(string_at(read_until(socket, "error"), "/stream_id") == std::to_string(i));
    keys.fixture.port.text(id, "one");
    CHECK(string_at(read_until(socket, "response.output_text.delta"), "/delta") == "one");
    for (int i = 20; i < 24; ++i) {
        const std::string error = read_until(socket, "error");
        CHECK(string_at(error, "/error/code") == "key_concurrency_limit");
        CHECK(string_at(error, "/stream_id") == std::to_string(i));
    }
    CHECK(std::chrono::steady_clock::now() - began >= std::chrono::milliseconds(300));
}

TEST_CASE("A response that steering makes costs a key's rate, and holds its one place") {
    KeyFixture keys("sk-a rate=2/h concurrent=1\n");
    FakePort& port = keys.fixture.port;
    WsClient socket(keys.fixture.number, "/v1/responses", "sk-a");
    const auto speak = [&](std::size_t n) {
        const std::string id = port.submitted(n);
        port.start(id);
        port.text(id, "one");
        read_until(socket, "response.output_text.delta");
        return R"({"type":"response.steer","input":"more","previous_response_id":")" + id + "\"}";
    };
    socket.send(create("", "x"));
    socket.send(speak(0));
    CHECK(string_at(read_to_end(socket).back(), "/response/incomplete_details/reason") == "steered");
    const std::string steer = speak(1);
    socket.send(create("b", "x"));
    CHECK(string_at(read_until(socket, "error"), "/error/code") == "key_concurrency_limit");
    socket.send(steer);
    const std::string failed = read_until(socket, "response.steer.failed");
    CHECK(string_at(failed, "/error/code") == "successor_creation_failed");
    CHECK(has(string_at(failed, "/error/message"), "2 requests in 1h"));
    CHECK(string_at(failed, "/steer/input") == "more");
    port.finish(port.submitted(1), FinishReason::stop);  // it goes on to its own end
    CHECK(string_at(read_to_end(socket).back(), "/type") == "response.completed");
}

TEST_CASE("The successor of a response that was resumed takes a place of its key") {
    const bool kept = GENERATE(true, false);  // by the key that made it
    KeyFixture keys("sk-a concurrent=1 tenant=t\nsk-b tenant=t\n");
    FakePort& port = keys.fixture.port;
    const std::string body = R"({"input":"x","background":true})";
    TestClient first = keys.fixture.client();
    first.send(http_request("POST", "/v1/responses", body, bearer(kept ? "sk-a" : "sk-b")));
    const std::string id = port.submitted(0);
    port.start(id);
    port.text(id, "one");
    CHECK(first.read_answer().status == 200);
    REQUIRE(port.wait_for_detach(id));
    WsClient socket(keys.fixture.number, "/v1/responses", "sk-a");
    socket.send(R"({"type":"response.resume","response_id":")" + id + "\"}");
    read_until(socket, "response.output_text.delta");
    socket.send(R"({"type":"response.steer","input":"more","previous_response_id":")" + id + "\"}");
    read_to_end(socket);
    port.start(port.submitted(1));
    CHECK(string_at(read_until(socket, "response.created"), "/response/previous_response_id") == id);
    socket.send(create("b", "x"));
    CHECK(string_at(read_until(socket, "error"), "/error/code") == "key_concurrency_limit");
}

TEST_CASE("A key's concurrency: a request holds its place until it has been answered") {
    KeyFixture keys("sk-a concurrent=1\n");
    Fixture& fixture = keys.fixture;
    TestClient first = fixture.client();
    first.send(http_request("POST", "/v1/completions", kPrompt, bearer("sk-a")));
    const std::string id = fixture.port.submitted(0);
    const Answer refused = post_with(fixture, "sk-a", "/v1/completions");
    CHECK(refused.status == 429);
    CHECK(string_at(refused.body, "/error/code") == "key_concurrency_limit");
    CHECK(refused.headers.contains("retry-after"));
    SECTION("the answer gives it back") {
        fixture.port.finish(id, FinishReason::stop);
        CHECK(first.read_answer().status == 200);
    }
    SECTION("so does a client that goes away") {
        first.cut();
        CHECK(fixture.port.wait_for_detach(id));
    }
    fixture.port.on_submit = FakePort::script({"x"});
    int status = 0;
    for (int i = 0; i < 1000 && status != 200; ++i)
        status = post_with(fixture, "sk-a", "/v1/completions").status;
    CHECK(status == 200);
}

TEST_CASE("A key's concurrency counts sequences: every choice of every prompt") {
    KeyFixture keys("sk-a concurrent=4\n");
    Fixture& fixture = keys.fixture;
    TestClient waits = fixture.client();
    waits.send(http_request("POST", "/v1/completions", R"({"prompt":["x","y"],"n":1})", bearer("sk-a")));
    REQUIRE_FALSE(fixture.port.submitted(1).empty());
    const auto answer_to = [&](const std::string& body) {
        return post_with(fixture, "sk-a", "/v1/completions", body);
    };
    const Answer full = answer_to(R"({"prompt":"x","n":3})");
    CHECK(full.status == 429);
    CHECK(full.headers.at("retry-after") == "1");
    CHECK(string_at(full.body, "/error/code") == "key_concurrency_limit");
    const Answer never = answer_to(R"({"prompt":["x","y","z"],"n":2})");
    CHECK(never.status == 400);
    CHECK(string_at(never.body, "/error/param") == "n");
    CHECK(has(never.body, "asks for 6"));
    const Answer chat = post_with(fixture, "sk-a", "/v1/chat/completions",
                                  R"({"messages":[{"role":"user","content":"x"}],"n":3})");
    CHECK(chat.status == 429);
    CHECK(fixture.port.submitted_count() == 2);  // nothing of what was refused has begun
    fixture.port.on_submit = FakePort::script({"x"});
    CHECK(answer_to(R"({"prompt":"x","n":2})").status == 200);
    CHECK(answer_to(R"({"prompt":"x","n":2})").status == 200);  // the places came back
    for (std::size_t i = 0; i < 2; ++i) {
        fixture.port.start(fixture.port.submitted(i));
        fixture.port.finish(fixture.port.submitted(i), FinishReason::stop);
    }
    CHECK(waits.read_answer().status == 200);
    CHECK(answer_to(R"({"prompt":"x","n":4})").status == 200);
}

TEST_CASE("Kept places: given back when their response has ended or is not known") {
    const auto key = std::make_shared<ApiKey>();
    key->limits.concurrent = 2;
    const auto lease = [&] {
        KeyLeasePtr taken;
        begin_request(key, taken);
        return taken;
    };
    FakePort port;
    GenerationRequest request;
    request.id = "resp_1";
    port.submit(request, {});
    LeaseKeeper keeper;
    keeper.keep("resp_1", lease());
    keeper.keep("resp_2", lease());
    CHECK(lease() == nullptr);
    keeper.check(port);
    CHECK(lease() != nullptr);  // given back at once
    const KeyLeasePtr second = lease();
    CHECK(lease() == nullptr);
    port.finish("resp_1", FinishReason::stop);
    keeper.check(port);
    CHECK(lease() != nullptr);
}

TEST_CASE("A response that runs on without its reader keeps its place until it has ended") {
    KeyFixture keys("sk-a concurrent=1\n");
    Fixture& fixture = keys.fixture;
    const std::string input = R"({"input":"x")";
    SECTION("over HTTP") {
        TestClient client = fixture.client();
        client.send(http_request("POST", "/v1/responses", input + R"(,"stream":true})", bearer("sk-a")));
        REQUIRE_FALSE(fixture.port.submitted(0).empty());
        client.cut();
    }
    SECTION("in the background") {
        TestClient client = fixture.client();
        client.send(http_request("POST", "/v1/responses", input + R"(,"background":true})", bearer("sk-a")));
        fixture.port.start(fixture.port.submitted(0));
        CHECK(client.read_answer().status == 200);
    }
    SECTION("over a WebSocket") {
        WsClient socket(fixture.number, "/v1/responses", "sk-a");
        socket.send(R"({"type":"response.create","input":"x"})");
        REQUIRE_FALSE(fixture.port.submitted(0).empty());
        socket.cut();
    }
    const std::string id = fixture.port.submitted(0);
    fixture.port.start(id);
    REQUIRE(fixture.port.wait_for_detach(id));
    CHECK(post_with(fixture, "sk-a", "/tokenize").status == 429);
    fixture.port.finish(id, FinishReason::stop);
    int status = 0;
    for (int i = 0; i < 500 && status != 200; ++i) {
        status = post_with(fixture, "sk-a", "/tokenize").status;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    CHECK(status == 200);
}

TEST_CASE("A reload takes new keys in and old ones out; a bad file changes nothing") {
    KeyFixture keys("sk-a\n");
    Fixture& fixture = keys.fixture;
    keys.folder.write("keys", "sk-b\n");
    REQUIRE(fixture.server->reload().ok());
    CHECK(post_with(fixture, "sk-a", "/tokenize").status == 401);
    CHECK(post_with(fixture, "sk-b", "/tokenize").status == 200);
    keys.folder.write("keys", "sk-c colour=red\n");
    const auto reloaded = fixture.server->reload();
    REQUIRE_FALSE(reloaded.ok());
    CHECK(has(reloaded.error().message, "colour"));
    CHECK(post_with(fixture, "sk-b", "/tokenize").status == 200);
    CHECK(fixture.reloads == 1);  // what else is read anew stays too
    keys.folder.write("keys", "sk-c\n");
    fixture.on_reload = invalid_argument("the log cannot be written");
    CHECK_FALSE(fixture.server->reload().ok());
    CHECK(fixture.reloads == 2);
    CHECK(post_with(fixture, "sk-b", "/tokenize").status == 200);
}

TEST_CASE("A certificate is renewed without a restart") {
    TemporaryFolder folder;
    CertificateFiles files = make_certificate(folder);
    Fixture fixture([&](ServerConfig& config) {
        config.ssl_certfile = files.certificate;
        config.ssl_keyfile = files.key;
    });
    TestClient before = fixture.client();
    REQUIRE(before.start_tls(files.certificate) == "");
    std::filesystem::copy_file(files.certificate, folder.file("old.pem"));
    files = make_certificate(folder);
    REQUIRE(fixture.server->reload().ok());
    TestClient stale = fixture.client(), fresh = fixture.client();
    CHECK(stale.start_tls(folder.file("old.pem")) != "");
    CHECK(fresh.start_tls(files.certificate) == "");
    CHECK(fresh.get("/health").status == 200);
    CHECK(before.get("/health").status == 200);  // goes on with the one that it began with
}

TEST_CASE("Administration has a key of its own; without one there is nothing") {
    Fixture none([](ServerConfig& config) { config.api_key = "user"; });
    CHECK(post_with(none, "user", "/admin/drain", "{}").status == 404);
    Fixture fixture([](ServerConfig& config) {
        config.api_key = "user";
        config.admin_api_key = "root";
    });
    CHECK(fixture.post("/admin/drain", "{}").status == 401);
    CHECK(post_with(fixture, "wrong", "/admin/drain", "{}").status == 401);
    const Answer forbidden = post_with(fixture, "user", "/admin/drain", "{}");
    CHECK(forbidden.status == 403);
    CHECK(string_at(forbidden.body, "/error/code") == "admin_key_required");
    CHECK(post_with(fixture, "root", "/admin/reload", "{}").body == R"({"status":"reloaded"})");
    CHECK(fixture.reloads == 1);
    const std::string policy =
        R"({"policy":"sjf","options":{"max_wait":2.5,"oracle":true,"x":"y"},"isolate":true})";
    CHECK(post_with(fixture, "user", "/admin/policy", policy).status == 403);
    CHECK(post_with(fixture, "root", "/admin/policy", policy).body == R"({"status":"replaced"})");
    CHECK(fixture.port.policy.name == "sjf");
    CHECK(fixture.port.policy.options == std::vector<std::string>{"max_wait=2.5", "oracle=1", "x=y"});
    CHECK(fixture.port.policy.isolate);
    for (const char* wrong : {R"({})", R"({"policy":"nonesuch"})", R"({"policy":3})", R"([])",
                              R"({"policy":"sjf","options":[1]})", R"({"policy":"sjf","options":{"a":[]}})",
                              R"({"policy":"sjf","options":{"a=b":1}})"}) {
        INFO(wrong);
        CHECK(post_with(fixture, "root", "/admin/policy", wrong).status == 400);
    }
    CHECK(fixture.get("/ready").status == 200);
    const Answer drain = post_with(fixture, "root", "/admin/drain", "");
    CHECK(drain.status == 202);
    CHECK(fixture.get("/ready").status == 503);
    CHECK(post_with(fixture, "user", "/v1/completions").status == 503);
    CHECK(post_with(fixture, "root", "/admin/nothing", "").status == 404);
}

TEST_CASE("An administrator's key alone leaves the API open") {
    Fixture fixture([](ServerConfig& config) { config.admin_api_key = "root"; });
    CHECK(fixture.get("/v1/models").status == 200);
    CHECK(fixture.post("/admin/drain", "").status == 401);
}

TEST_CASE("Pages of allowed origins may read answers, errors and streams too") {
    Fixture fixture([](ServerConfig& config) {
        config.api_key = "secret";
        config.cors_origins = {"https://a.example", "http://localhost:3000"};
    });
    fixture.port.on_submit = FakePort::script({"x"});
    const std::string origin = "Origin: https://a.example\r\n";
    const auto allowed = [](const Answer& answer) {
        const auto found = answer.headers.find("access-control-allow-origin");
        return found == answer.headers.end() ? "" : found->second;
    };
    const Answer error = fixture.client().request("GET", "/v1/models", "", origin);
    CHECK(error.status == 401);
    CHECK(allowed(error) == "https://a.example");
    CHECK(error.headers.at("vary") == "Origin");
    const Answer stream = fixture.client().request(
        "POST", "/v1/completions", R"({"prompt":"x","stream":true})", origin + bearer("secret"));
    CHECK(has(stream.body, "[DONE]"));
    CHECK(allowed(stream) == "https://a.example");
    const Answer other = fixture.client().request("GET", "/health", "", "Origin: https://b.example\r\n");
    CHECK(other.status == 200);
    CHECK(allowed(other).empty());
    CHECK(allowed(fixture.get("/health")).empty());
    TestClient broken = fixture.client();
    broken.send("POST /tokenize HTTP/1.1\r\n" + origin + bearer("secret") +
                "Content-Length: 999999999\r\n\r\n");
    const Answer large = broken.read_answer();
    CHECK(large.status == 413);
    CHECK(allowed(large) == "https://a.example");
}

TEST_CASE("A preflight is answered without a key") {
    Fixture fixture([](ServerConfig& config) {
        config.api_key = "secret";
        config.cors_origins = {"*"};
    });
    const std::string question =
        "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization, "
        "content-type\r\n";
    const Answer answer = fixture.client().request("OPTIONS", "/v1/chat/completions", "",
                                                   "Origin: https://a.example\r\n" + question);
    CHECK(answer.status == 200);
    CHECK(answer.headers.at("access-control-allow-origin") == "*");
    CHECK(answer.headers.at("access-control-allow-headers") == "authorization, content-type");
    CHECK(has(answer.headers.at("access-control-allow-methods"), "POST"));
    Fixture closed;
    CHECK(closed.client()
              .request("OPTIONS", "/health", "", "Origin: https://a.example\r\n" + question)
              .status == 405);
    Fixture picky([](ServerConfig& config) { config.cors_origins = {"https://b.example"}; });
    const Answer refused =
        picky.client().request("OPTIONS", "/v1/models", "", "Origin: https://a.example\r\n" + question);
    CHECK(refused.status == 403);
    CHECK_FALSE(refused.headers.contains("access-control-allow-origin"));
}

// The answer to an upgrade with these headers.
Answer upgrade(Fixture& fixture, const std::string& headers, bool only_head = true) {
    TestClient client = fixture.client();
    client.send(
        "GET /v1/responses HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
        headers + "\r\n");
    return client.read_answer(only_head);
}

TEST_CASE("A WebSocket of a page that is not allowed is refused, with or without a list") {
    const bool listed = GENERATE(true, false);
    CAPTURE(listed);
    Fixture fixture([&](ServerConfig& config) {
        if (listed) config.cors_origins = {"https://a.example"};
    });
    const auto status = [&](const std::string& origin, const std::string& host = "llm.example:8000") {
        return upgrade(fixture, "Host: " + host + "\r\n" + origin).status;
    };
    for (const char* other : {"https://b.example", "null", "", "http://llm.example", "http://llm.example:80",
                              "http://llm.example:8001", "http://xllm.example:8000", "llm.example:8000",
                              "file://", "http://llm.example:8000.evil.example"}) {
        CAPTURE(other);
        CHECK(status("Origin: " + std::string(other) + "\r\n") == (*other == '\0' ? 101 : 403));
    }
    CHECK(status("Origin: https://a.example\r\n") == (listed ? 101 : 403));
    CHECK(status("") == 101);  // no browser
    // Pages of the server's own, behind a proxy that speaks TLS too.
    CHECK(status("Origin: http://llm.example:8000\r\n") == 101);
    CHECK(status("Origin: https://llm.example\r\n", "llm.example") == 101);
    CHECK(status("Origin: https://llm.example\r\n", "llm.example:443") == 101);
    CHECK(status("Origin: http://llm.example\r\n", "llm.example:80") == 101);
    CHECK(status("Origin: http://llm.example\r\n", "llm.example:443") == 403);
    CHECK(status("Origin: http://[::1]:8000\r\n", "[::1]:8000") == 101);
    const Answer refused = upgrade(fixture, "Host: x\r\nOrigin: https://b.example\r\n", false);
    CHECK(string_at(refused.body, "/error/code") == "origin_not_allowed");
    CHECK(has(string_at(refused.body, "/error/message"), "--cors-origin"));
}

TEST_CASE("A client that has a key may say that it is a page of any origin") {
    KeyFixture keys("sk-a\n");
    const auto status = [&](const std::string& headers) {
        return upgrade(keys.fixture, "Host: x\r\nOrigin: https://b.example\r\n" + headers).status;
    };
    CHECK(status(bearer("sk-a")) == 101);
    CHECK(status(bearer("sk-b")) == 401);
    CHECK(status("") == 401);
}

TEST_CASE("Upgrades that are none get the error that every request gets") {
    Fixture fixture;
    const auto send = [&](const std::string& headers) {
        TestClient client = fixture.client();
        client.send("GET /v1/responses HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + headers +
                    "\r\n");
        Answer answer = client.read_answer();
        CAPTURE(headers);
        CHECK(answer.headers.at("content-type") == "application/json");
        CHECK(answer.headers.contains("x-request-id"));
        CHECK(string_at(answer.body, "/error/code") == "invalid_upgrade");
        return answer;
    };
    const std::string host = "Host: x\r\n", version = "Sec-WebSocket-Version: 13\r\n",
                      key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    CHECK(send(version + key).status == 400);
    CHECK(send(host + version).status == 400);
    CHECK(send(host + version + "Sec-WebSocket-Key: short\r\n").status == 400);
    for (const char* old : {"", "Sec-WebSocket-Version: 8\r\n"}) {
        const Answer answer = send(host + key + old);
        CHECK(answer.status == 426);
        CHECK(answer.headers.at("sec-websocket-version") == "13");
    }
    fixture.port.server_state = ServerState::draining;
    CHECK(upgrade(fixture, host).status == 503);
}

TEST_CASE("A page that is not allowed cannot send what browsers send without asking") {
    Fixture fixture([](ServerConfig& config) { config.cors_origins = {"https://a.example"}; });
    fixture.port.on_submit = FakePort::script({"x"});
    const auto send = [&](const std::string& method, const std::string& headers) {
        return fixture.client().request(method, "/v1/completions", R"({"prompt":"x"})", headers);
    };
    for (const char* type : {"text/plain", "application/json", "application/x-www-form-urlencoded"}) {
        CAPTURE(type);
        const std::string content = "Content-Type: " + std::string(type) + "\r\n";
        const Answer refused = send("POST", content + "Origin: https://b.example\r\n");
        CHECK(refused.status == 403);
        CHECK(string_at(refused.body, "/error/code") == "origin_not_allowed");
        CHECK(send("POST", content + "Origin: null\r\n").status == 403);
        CHECK(send("POST", content + "Origin: https://a.example\r\n").status == 200);
        CHECK(send("POST", content).status == 200);  // no browser
    }
    CHECK(send("DELETE", "Origin: https://b.example\r\n").status == 403);
    CHECK(send("OPTIONS", "Origin: https://b.example\r\n").status == 405);
    Fixture open([](ServerConfig& config) { config.cors_origins = {"*"}; });
    open.port.on_submit = FakePort::script({"x"});
    CHECK(open.client()
              .request("POST", "/v1/completions", R"({"prompt":"x"})", "Origin: https://b.example\r\n")
              .status == 200);
}

TEST_CASE("Without a list of origins pages have to send JSON, for which their browser asks first") {
    Fixture fixture;
    fixture.port.on_submit = FakePort::script({"x"});
    const auto status = [&](const std::string& headers) {
        return fixture.client().request("POST", "/v1/completions", R"({"prompt":"x"})", headers).status;
    };
    const std::string origin = "Origin: https://b.example\r\n";
    for (const char* type : {"text/plain", "text/plain; application/json", "application/jsonx", "",
                             "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"}) {
        CAPTURE(type);
        CHECK(status(origin + "Content-Type: " + type + "\r\n") == 415);
        CHECK(status("Content-Type: " + std::string(type) + "\r\n") == 200);  // no browser
    }
    const Answer refused = fixture.client().request("POST", "/tokenize", R"({"prompt":"x"})", origin);
    CHECK(refused.status == 415);
    CHECK(string_at(refused.body, "/error/code") == "json_required");
    CHECK(fixture.client().request("POST", "/v1/responses/resp_x/cancel", "", origin).status == 415);
    CHECK(status("Origin: http://test\r\nContent-Type: text/plain\r\n") == 200);  // its own page
    CHECK(status(origin + "Content-Type: application/json\r\n") == 200);
    CHECK(status(origin + "Content-Type: Application/JSON ; charset=utf-8\r\n") == 200);
    CHECK(fixture.client().request("GET", "/health", "", origin).status == 200);
}

TEST_CASE("A body that is compressed is refused by its name") {
    Fixture fixture;
    fixture.port.on_submit = FakePort::script({"x"});
    const auto send = [&](const std::string& encoding) {
        return fixture.client().request("POST", "/v1/completions", R"({"prompt":"x"})",
                                        "Content-Encoding: " + encoding + "\r\n");
    };
    for (const char* encoding : {"gzip", "br", "zstd", "identity, gzip"}) {
        const Answer refused = send(encoding);
        CHECK(refused.status == 415);
        CHECK(has(refused.body, "Content-Encoding: " + std::string(encoding)));
    }
    CHECK(send("Identity").status == 200);
}

TEST_CASE("Connections of one address are limited by themselves") {
    TemporaryFolder folder;
    Fixture fixture([](ServerConfig& config) { config.max_connections_per_address = 2; });
    auto first = std::make_unique<TestClient>(fixture.number);
    TestClient second = fixture.client();
    CHECK(first->get("/health").status == 200);
    CHECK(second.get("/health").status == 200);
    const Answer refused = fixture.client().read_answer();
    CHECK(refused.status == 503);
    CHECK(string_at(refused.body, "/error/code") == "too_many_connections_of_address");
    first.reset();
    int status = 0;
    for (int i = 0; i < 1000 && status != 200; ++i) status = fixture.get("/health").status;
    CHECK(status == 200);
}

TEST_CASE("What is answered, refused and given up is counted") {
    Fixture fixture([](ServerConfig& config) {
        config.api_key = "secret";
        config.max_body_bytes = 1000;
        config.max_header_bytes = 1024;
        config.read_timeout_ms = 200;
        config.idle_timeout_ms = 5000;
    });
    const std::string key = bearer("secret");
    CHECK(fixture.get("/v1/models").status == 401);
    CHECK(fixture.client().request("POST", "/tokenize", std::string(2000, 'x'), key).status == 413);
    CHECK(fixture.client().request("GET", "/health", "", "X: " + std::string(2000, 'x') + "\r\n").status ==
          431);
    TestClient slow = fixture.client();
    slow.send("GET /");
    CHECK(slow.read_answer().status == 408);
    std::string metrics;
    const auto counted = [&](const std::string& line) { return has(metrics, "troupe:" + line + "\n"); };
    for (int i = 0; i < 1000 && !counted(R"(http_requests_total{status="408",transport="http"} 1)"); ++i) {
        metrics = fixture.get("/metrics").body;
    }
    for (const char* line :
         {R"(http_requests_total{status="401",transport="http"} 1)",
          R"(http_requests_total{status="413",transport="http"} 1)",
          R"(http_requests_total{status="431",transport="http"} 1)",
          R"(http_refusals_total{limit="api_key"} 1)", R"(http_refusals_total{limit="body_size"} 1)",
          R"(http_refusals_total{limit="header_size"} 1)", R"(http_refusals_total{limit="connections"} 0)",
          R"(http_timeouts_total{waited_for="read"} 1)", R"(http_timeouts_total{waited_for="write"} 0)"}) {
        CAPTURE(line);
        CHECK(counted(line));
    }
    CHECK(has(metrics, "# HELP troupe:num_requests_running Requests in the running batch\n"));
}

TEST_CASE("The version, without a key") {
    Fixture fixture([](ServerConfig& config) { config.api_key = "secret"; });
    CHECK_FALSE(string_at(fixture.get("/version").body, "/version").empty());
}
