// What an endpoint sees of an HTTP request, and what it answers. No sockets.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/status.hpp"

namespace troupe::net {

struct HttpRequest {
    std::string method;  // "GET"
    std::string path;    // percent-decoded, without the query
    std::string query;   // behind '?', as sent
    std::string body;
    std::string request_id;  // the client's X-Request-Id, or ours
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
HttpReply error_reply(const Error& error);              // 429 and 503 come with Retry-After
HttpReply error_reply(const Error& error, int status);  // for statuses that have no ErrorCode: 405, 431

// Splits a request's target into path and query.
void set_target(HttpRequest& request, std::string_view target);

// Value of `name` in a query string, percent-decoded; empty if absent.
std::string query_value(std::string_view query, std::string_view name);

// The client's request id if it is 1 to 128 visible ASCII characters, otherwise a new one.
std::string accept_request_id(std::string_view offered);

// Equal bytes, in a time that does not tell where they differ.
bool equal_constant_time(std::string_view a, std::string_view b);

}  // namespace troupe::net
