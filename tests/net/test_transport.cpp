// What connections stand on: TLS and Unix sockets.
#include <openssl/ssl.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/websocket/ssl.hpp>

#include "tests/net/certificate.hpp"
#include "tests/net/fixture.hpp"
#include "tests/net/ws_client.hpp"

using namespace troupe;
using namespace troupe::net;

namespace {

const std::string kPrompt = R"({"prompt":"x")";

// A server with a certificate of its own.
struct TlsFixture {
    explicit TlsFixture(const std::function<void(ServerConfig&)>& more = {})
        : files(make_certificate(folder)), fixture([&](ServerConfig& config) {
              config.ssl_certfile = files.certificate;
              config.ssl_keyfile = files.key;
              if (more) more(config);
          }) {}

    TemporaryFolder folder;
    CertificateFiles files;
    Fixture fixture;
};

std::string start_error(const std::function<void(ServerConfig&)>& change) {
    FakePort port;
    ServerConfig config;
    config.port = 0;
    change(config);
    Server server(config, port);
    const auto started = server.start();
    return started ? "" : started.error().message;
}

}  // namespace

TEST_CASE("HTTPS: whole answers, streams, keep-alive and large bodies") {
    TlsFixture tls;
    tls.fixture.port.on_submit = FakePort::script({"one", " two"});
    TestClient client = tls.fixture.client();
    REQUIRE(client.start_tls(tls.files.certificate) == "");
    CHECK(client.tls_version() == "TLSv1.3");
    CHECK(client.get("/health").body == R"({"status":"ok"})");
    const Answer stream = client.post("/v1/completions", kPrompt + R"(,"stream":true})");
    CHECK(stream.complete);
    CHECK(sse_data(stream.body).back() == "[DONE]");
    const std::string large(1'000'000, 'x');
    CHECK(client.post("/tokenize", R"({"prompt":")" + large + "\"}").status == 200);
    client.send(http_request("GET", "/health") + http_request("GET", "/nothing"));
    CHECK(client.read_answer().status == 200);
    CHECK(client.read_answer().status == 404);
    const Answer last = client.request("GET", "/health", "", "Connection: close\r\n");
    CHECK(last.status == 200);
    CHECK(client.closed_by_peer());
}

TEST_CASE("HTTPS: a client that goes away ends its generation, one that reads nothing too") {
    TlsFixture tls([](ServerConfig& config) { config.write_timeout_ms = 100; });
    TestClient client = tls.fixture.client();
    REQUIRE(client.start_tls(tls.files.certificate) == "");
    client.send(http_request("POST", "/v1/completions", kPrompt + R"(,"stream":true})"));
    const std::string id = tls.fixture.port.submitted(0);
    SECTION("cut") { client.cut(); }
    SECTION("stalled") {
        for (int i = 0; i < 40; ++i) tls.fixture.port.text(id, std::string(1'000'000, 'x'));
    }
    CHECK(tls.fixture.port.wait_for_detach(id));
}

TEST_CASE("TLS 1.2 is spoken, what is older is not, and plain HTTP is not mistaken for it") {
    TlsFixture tls;
    TestClient client = tls.fixture.client();
    CHECK(client.start_tls(tls.files.certificate, TLS1_2_VERSION) == "");
    CHECK(client.get("/health").status == 200);
    TestClient old = tls.fixture.client();
    CHECK(old.start_tls(tls.files.certificate, TLS1_1_VERSION) != "");
    TestClient plain = tls.fixture.client();
    plain.send(http_request("GET", "/health"));
    CHECK(plain.closed_by_peer());
    CHECK_FALSE(has(plain.received(), "200"));
    CHECK(client.get("/health").status == 200);
}

TEST_CASE("A TLS handshake that does not come is waited for as long as a request is") {
    TlsFixture tls([](ServerConfig& config) { config.read_timeout_ms = 100; });
    TestClient silent = tls.fixture.client();
    TestClient half = tls.fixture.client();
    half.send("\x16\x03\x01\x02");  // the beginning of a ClientHello
    CHECK(silent.closed_by_peer());
    CHECK(half.closed_by_peer());
}

TEST_CASE("A WebSocket inside TLS") {
    TlsFixture tls;
    tls.fixture.port.on_submit = FakePort::script({"one", " two"});
    namespace asio = boost::asio;
    asio::io_context io;
    asio::ssl::context context(asio::ssl::context::tls_client);
    context.load_verify_file(tls.files.certificate);
    context.set_verify_mode(asio::ssl::verify_peer);
    boost::beast::websocket::stream<asio::ssl::stream<asio::ip::tcp::socket>> socket(io, context);
    socket.next_layer().next_layer().connect({asio::ip::address_v4::loopback(), tls.fixture.number});
    socket.next_layer().handshake(asio::ssl::stream_base::client);
    socket.handshake("test", "/v1/responses");
    socket.write(asio::buffer(std::string(R"({"type":"response.create","input":"x"})")));
    std::string event;
    do {
        boost::beast::flat_buffer buffer;
        socket.read(buffer);
        event = boost::beast::buffers_to_string(buffer.data());
    } while (string_at(event, "/type") != "response.completed");
    CHECK(string_at(event, "/response/output/0/content/0/text") == "one two");
    boost::beast::error_code error;
    socket.close(boost::beast::websocket::close_code::normal, error);
    CHECK_FALSE(error);
}

TEST_CASE("Certificates and keys that do not serve are said so at the start") {
    TemporaryFolder folder;
    const CertificateFiles good = make_certificate(folder), other = make_certificate(folder, "other");
    const std::string nonsense = folder.write("nonsense.pem", "nothing");
    const auto with = [](const std::string& certificate, const std::string& key) {
        return start_error([&](ServerConfig& config) {
            config.ssl_certfile = certificate;
            config.ssl_keyfile = key;
        });
    };
    CHECK(with(good.certificate, good.key).empty());
    CHECK(with("/nonexistent.pem", good.key).starts_with("--ssl-certfile: /nonexistent.pem"));
    CHECK(with(nonsense, good.key).starts_with("--ssl-certfile: " + nonsense));
    CHECK(with(good.certificate, nonsense).starts_with("--ssl-keyfile: " + nonsense));
    CHECK(has(with(good.certificate, other.key), other.key));
    CHECK(has(with(good.certificate, ""), "give --ssl-keyfile"));
}

TEST_CASE("A Unix socket serves as a port does, and its file goes with the server") {
    TemporaryFolder folder;
    const std::string path = folder.file("troupe.sock");
    {
        Fixture fixture([&](ServerConfig& config) { config.uds = path; });
        CHECK(fixture.number == 0);
        fixture.port.on_submit = FakePort::script({"streamed"});
        TestClient client(path);
        CHECK(client.get("/health").status == 200);
        CHECK(has(client.post("/v1/completions", kPrompt + R"(,"stream":true})").body, "streamed"));
        struct stat found {};
        REQUIRE(::stat(path.c_str(), &found) == 0);
        CHECK((found.st_mode & 0777) == 0660);
        CHECK(has(start_error([&](ServerConfig& config) { config.uds = path; }), "another program listens"));
        CHECK(client.get("/health").status == 200);
    }
    CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("A Unix socket's path: what a dead server left is replaced, anything else is not") {
    TemporaryFolder folder;
    const std::string path = folder.file("troupe.sock");
    const int left = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE(::bind(left, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    ::close(left);  // the file stays
    {
        Fixture fixture([&](ServerConfig& config) {
            config.uds = path;
            config.uds_mode = 0600;
        });
        CHECK(TestClient(path).get("/health").status == 200);
        struct stat found {};
        REQUIRE(::stat(path.c_str(), &found) == 0);
        CHECK((found.st_mode & 0777) == 0600);
    }
    const std::string file = folder.write("file", "precious");
    CHECK(has(start_error([&](ServerConfig& config) { config.uds = file; }), "is no socket"));
    CHECK(std::filesystem::file_size(file) == 8);
    CHECK(has(start_error([&](ServerConfig& config) { config.uds = folder.file(std::string(200, 'x')); }),
              "at most 107 bytes"));
    CHECK(has(start_error([](ServerConfig& config) { config.uds = "/nonexistent/troupe.sock"; }), "--uds"));
}
