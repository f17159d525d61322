// A small blocking HTTP client for tests, on a plain socket so that it can misbehave: half requests,
// pipelining, cuts.
#pragma once
#include <simdjson.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

struct ssl_st;

namespace troupe::net {

struct Answer {
    int status = 0;                              // 0: none came
    std::map<std::string, std::string> headers;  // names in small letters
    std::string body;                            // chunks put together
    bool complete = false;                       // ended as its framing says
};

class TestClient {
  public:
    explicit TestClient(std::uint16_t port);
    explicit TestClient(const std::string& unix_path);
    ~TestClient() { cut(); }
    TestClient(const TestClient&) = delete;
    TestClient& operator=(const TestClient&) = delete;

    // From here on inside TLS, trusting that certificate only. What went wrong, or an empty string.
    std::string start_tls(const std::string& certificate_file, int highest_version = 0);
    std::string tls_version() const;

    void send(std::string_view bytes);
    void half_close();
    void cut();    // an orderly close
    void reset();  // a close that the peer sees as an error

    Answer read_answer(bool head_only = false);
    // Reads until `marker` has come; false after five seconds or at the end.
    bool read_until(std::string_view marker);
    bool closed_by_peer();  // waits for it, up to five seconds
    const std::string& received() const { return received_; }

    Answer request(const std::string& method, const std::string& target, const std::string& body = {},
                   const std::string& headers = {});
    Answer get(const std::string& target) { return request("GET", target); }
    Answer post(const std::string& target, const std::string& body) { return request("POST", target, body); }

  private:
    bool read_more();
    long receive(char* buffer, std::size_t bytes);
    std::string take(std::size_t bytes);

    int fd_ = -1;
    ssl_st* tls_ = nullptr;
    std::string received_;
};

std::string http_request(const std::string& method, const std::string& target, const std::string& body = {},
                         const std::string& headers = {});

// Whether `part` occurs in `text`.
inline bool has(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

// The payloads of a body's "data: " lines.
std::vector<std::string> sse_data(const std::string& body);

// A value inside a JSON text, by JSON pointer; its own text ("\"x\"", "3"), empty if it is not there.
std::string at(const std::string& json, const std::string& pointer);
// The same for a string: without quotes and escapes.
std::string string_at(const std::string& json, const std::string& pointer);

}  // namespace troupe::net
