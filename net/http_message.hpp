// What an endpoint sees of an HTTP request, and what it answers. No sockets.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/status.hpp"

namespace troupe::net {

struct ApiKey;
class KeyLease;

struct HttpRequest {
    std::string method;  // "GET"
    std::string path;    // percent-decoded, without the query
    std::string query;   // behind '?', as sent
    std::string body;
    std::string request_id;             // the client's X-Request-Id, or ours
    std::string answer_headers;         // lines that its answer carries whatever it is
    std::shared_ptr<const ApiKey> key;  // that it came with; null: none was asked for
    std::shared_ptr<KeyLease> lease;    // of the key's limits, until the request has been answered
};

struct HttpReply {
    int status = 200;
    std::string body;
    std::string content_type = "application/json";
    std::vector<std::pair<std::string, std::string>> headers;
};

std::string_view reason_phrase(int status);

// {"error": {"message", "type", "param", "code"}}; `status` decides the type.
std::string error_body(const Error& error, int status);
// The inner object only, as stream events carry it.
std::string error_object(const Error& error, int status);

int http_status(const Error& error);
HttpReply error_reply(const Error& error);
// For statuses that have no ErrorCode: 403, 405, 415, 426, 431. 429 and 503 come with Retry-After.
HttpReply error_reply(const Error& error, int status, std::uint32_t retry_after_s = 1);

// Splits a request's target, in origin or absolute form, into path and query.
void set_target(HttpRequest& request, std::string_view target);

// Value of `name` in a query string, percent-decoded; empty if absent.
std::string query_value(std::string_view query, std::string_view name);

// The client's request id if it is 1 to 128 visible ASCII characters, otherwise a new one.
std::string accept_request_id(std::string_view offered);

}  // namespace troupe::net
