#include "tests/net/test_client.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace troupe::net {

constexpr int kPatienceMs = 5000;

TestClient::TestClient(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
        throw std::runtime_error("cannot connect");
    }
}

TestClient::TestClient(const std::string& unix_path) : fd_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    unix_path.copy(address.sun_path, sizeof address.sun_path - 1);
    if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
        throw std::runtime_error("cannot connect");
    }
}

std::string TestClient::start_tls(const std::string& certificate_file, int highest_version) {
    SSL_CTX* context = ::SSL_CTX_new(::TLS_client_method());
    ::SSL_CTX_load_verify_locations(context, certificate_file.c_str(), nullptr);
    ::SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    ::SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
    ::SSL_CTX_set_security_level(context, 0);  // so that old versions can be tried at all
    if (highest_version != 0) ::SSL_CTX_set_max_proto_version(context, highest_version);
    tls_ = ::SSL_new(context);
    ::SSL_CTX_free(context);
    ::SSL_set_fd(tls_, fd_);
    const timeval patience{kPatienceMs / 1000, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (::SSL_connect(tls_) == 1) return {};
    const char* reason = ::ERR_reason_error_string(::ERR_get_error());
    return reason == nullptr ? "the connection ended" : reason;
}

std::string TestClient::tls_version() const { return ::SSL_get_version(tls_); }

long TestClient::receive(char* buffer, std::size_t bytes) {
    if (tls_ != nullptr) return ::SSL_read(tls_, buffer, static_cast<int>(bytes));
    return ::recv(fd_, buffer, bytes, 0);
}

void TestClient::send(std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t sent = tls_ == nullptr
                                 ? ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL)
                                 : ::SSL_write(tls_, bytes.data(), static_cast<int>(bytes.size()));
        if (sent <= 0) return;  // the peer has closed: what it said before shows in the answer
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
}

void TestClient::half_close() { ::shutdown(fd_, SHUT_WR); }

void TestClient::cut() {
    if (tls_ != nullptr) ::SSL_free(std::exchange(tls_, nullptr));
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
}

void TestClient::reset() {
    const linger now{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    cut();
}

bool TestClient::read_more() {
    pollfd waiting{fd_, POLLIN, 0};
    const bool decrypted = tls_ != nullptr && ::SSL_pending(tls_) > 0;
    if (!decrypted && ::poll(&waiting, 1, kPatienceMs) <= 0) return false;
    char buffer[16384];
    const ssize_t bytes = receive(buffer, sizeof buffer);
    if (bytes <= 0) return false;
    received_.append(buffer, static_cast<std::size_t>(bytes));
    return true;
}

bool TestClient::read_until(std::string_view marker) {
    while (received_.find(marker) == std::string::npos) {
        if (!read_more()) return false;
    }
    return true;
}

bool TestClient::closed_by_peer() {
    while (true) {
        pollfd waiting{fd_, POLLIN, 0};
        if (::poll(&waiting, 1, kPatienceMs) <= 0) return false;
        if (!read_more()) return true;
    }
}

std::string TestClient::take(std::size_t bytes) {
    std::string part = received_.substr(0, bytes);
    received_.erase(0, bytes);
    return part;
}

Answer TestClient::read_answer(bool head_only) {
    Answer answer;
    if (!read_until("\r\n\r\n")) return answer;
    const std::string head = take(received_.find("\r\n\r\n") + 4);
    answer.status = std::stoi(head.substr(9, 3));
    for (std::size_t line = head.find("\r\n") + 2; line + 2 < head.size();) {
        const std::size_t end = head.find("\r\n", line), colon = head.find(": ", line);
        std::string name = head.substr(line, colon - line);
        std::transform(name.begin(), name.end(), name.begin(),
                       [](char c) { return static_cast<char>(std::tolower(c)); });
        answer.headers[name] = head.substr(colon + 2, end - colon - 2);
        line = end + 2;
    }
    if (head_only) {
        answer.complete = true;
    } else if (answer.headers.contains("content-length")) {
        const std::size_t length = std::stoul(answer.headers["content-length"]);
        while (received_.size() < length && read_more()) {
        }
        answer.complete = received_.size() >= length;
        answer.body = take(length);
    } else if (answer.headers.contains("transfer-encoding")) {
        std::size_t begin = 0;  // of the next chunk's size, in received_
        while (true) {
            std::size_t line = 0;
            while ((line = received_.find("\r\n", begin)) == std::string::npos) {
                if (!read_more()) return answer;
            }
            const std::size_t size = std::stoul(received_.substr(begin, line - begin), nullptr, 16);
            while (received_.size() < line + 2 + size + 2) {
                if (!read_more()) return answer;
            }
            answer.body.append(received_, line + 2, size);
            begin = line + 2 + size + 2;
            if (size == 0) break;
        }
        take(begin);
        answer.complete = true;
    } else {
        while (read_more()) {
        }
        answer.body = take(received_.size());
        answer.complete = true;
    }
    return answer;
}

std::string http_request(const std::string& method, const std::string& target, const std::string& body,
                         const std::string& headers) {
    std::string text = method + " " + target + " HTTP/1.1\r\nHost: test\r\n" + headers;
    if (!body.empty() || method == "POST") text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    return text + "\r\n" + body;
}

Answer TestClient::request(const std::string& method, const std::string& target, const std::string& body,
                           const std::string& headers) {
    send(http_request(method, target, body, headers));
    return read_answer(method == "HEAD");
}

std::vector<std::string> sse_data(const std::string& body) {
    std::vector<std::string> data;
    for (std::size_t at = 0; at < body.size();) {
        const std::size_t end = body.find("\n\n", at);
        const std::string event = body.substr(at, end - at);
        if (event.rfind("data: ", 0) == 0) data.push_back(event.substr(6));
        if (end == std::string::npos) break;
        at = end + 2;
    }
    return data;
}

namespace {

simdjson::dom::element parsed(simdjson::dom::parser& parser, const std::string& json) {
    simdjson::dom::element root;
    if (parser.parse(json).get(root) != simdjson::SUCCESS) throw std::runtime_error("not JSON: " + json);
    return root;
}

}  // namespace

std::string at(const std::string& json, const std::string& pointer) {
    simdjson::dom::parser parser;
    simdjson::dom::element value;
    if (parsed(parser, json).at_pointer(pointer).get(value) != simdjson::SUCCESS) return {};
    return simdjson::to_string(value);
}

std::string string_at(const std::string& json, const std::string& pointer) {
    simdjson::dom::parser parser;
    std::string_view text;
    if (parsed(parser, json).at_pointer(pointer).get(text) != simdjson::SUCCESS) return {};
    return std::string(text);
}

}  // namespace troupe::net
