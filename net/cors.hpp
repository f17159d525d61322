// Cross-origin requests of browsers: which pages may use the server (--cors-origin).
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "conf/config.hpp"
#include "net/http_message.hpp"

namespace troupe::net {

// Whether a page from `origin` may read answers.
bool origin_allowed(const ServerConfig& config, std::string_view origin);

Error origin_not_allowed(std::string_view origin);  // naming the option

// Whether it is the origin of the server itself: the place that the request was sent to (header Host),
// whatever the scheme, for TLS may end before it.
bool same_origin(std::string_view origin, std::string_view host);

// Header lines, each with its end, that every answer to a page from `origin` carries, errors too; empty if
// none are due.
std::string cors_headers(const ServerConfig& config, std::string_view origin);

// The answer to a browser that asks, by OPTIONS, what it may send; nothing if this is not such a question.
// `wanted_headers` is its Access-Control-Request-Headers.
std::optional<HttpReply> preflight_reply(const ServerConfig& config, const HttpRequest& request,
                                         std::string_view origin, std::string_view wanted_method,
                                         std::string_view wanted_headers);

}  // namespace troupe::net
