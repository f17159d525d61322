#include "net/cors.hpp"

#include <algorithm>

#include "net/utf8.hpp"

namespace troupe::net {
namespace {

constexpr std::string_view kAny = "*";
constexpr std::string_view kPreflightSeconds = "86400";

bool allows_any(const ServerConfig& config) {
    return std::find(config.cors_origins.begin(), config.cors_origins.end(), kAny) !=
           config.cors_origins.end();
}

}  // namespace

bool origin_allowed(const ServerConfig& config, std::string_view origin) {
    const auto& allowed = config.cors_origins;
    return allows_any(config) || std::find(allowed.begin(), allowed.end(), origin) != allowed.end();
}

Error origin_not_allowed(std::string_view origin) {
    return invalid_argument(
        "pages from " + shortened(origin, 100) +
            " may not use this server; its operator can allow their origin with --cors-origin",
        {}, "origin_not_allowed");
}

bool same_origin(std::string_view origin, std::string_view host) {
    const std::size_t scheme = origin.find("://");
    if (scheme == std::string_view::npos || host.empty()) return false;  // "null", for one
    // Browsers leave out the scheme's own port; a proxy may have written it.
    const std::string_view port = origin.starts_with("https:") ? ":443" : ":80";
    if (host.ends_with(port)) host.remove_suffix(port.size());
    return origin.substr(scheme + 3) == host;
}

std::string cors_headers(const ServerConfig& config, std::string_view origin) {
    if (config.cors_origins.empty() || origin.empty()) return {};
    const std::string vary = allows_any(config) ? "" : "Vary: Origin\r\n";
    if (!origin_allowed(config, origin)) return vary;
    std::string lines = "Access-Control-Allow-Origin: ";
    lines.append(allows_any(config) ? kAny : origin).append("\r\n").append(vary);
    return lines + "Access-Control-Expose-Headers: X-Request-Id, Retry-After\r\n";
}

std::optional<HttpReply> preflight_reply(const ServerConfig& config, const HttpRequest& request,
                                         std::string_view origin, std::string_view wanted_method,
                                         std::string_view wanted_headers) {
    const bool asks = request.method == "OPTIONS" && !origin.empty() && !wanted_method.empty();
    if (!asks || config.cors_origins.empty()) return std::nullopt;
    if (!origin_allowed(config, origin)) {
        return error_reply(origin_not_allowed(origin), 403);
    }
    HttpReply reply;
    reply.headers.emplace_back("Access-Control-Allow-Methods", "GET, HEAD, POST");
    if (!wanted_headers.empty()) reply.headers.emplace_back("Access-Control-Allow-Headers", wanted_headers);
    reply.headers.emplace_back("Access-Control-Max-Age", kPreflightSeconds);
    return reply;
}

}  // namespace troupe::net
