#include "net/http_message.hpp"

#include <algorithm>
#include <charconv>

#include "net/json_writer.hpp"
#include "net/random_id.hpp"

namespace troupe::net {
namespace {

std::string_view error_type(int status) {
    switch (status) {
        case 401:
            return "authentication_error";
        case 403:
            return "permission_error";
        case 408:
            return "timeout_error";
        case 429:
            return "rate_limit_error";
        case 499:
            return "cancelled_error";
        case 500:
            return "server_error";
        case 503:
            return "service_unavailable_error";
        default:
            return "invalid_request_error";
    }
}

std::string percent_decoded(std::string_view text, bool plus_is_space) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        unsigned value = 0;
        if (text[i] == '%' && i + 2 < text.size() &&
            std::from_chars(&text[i + 1], &text[i + 1] + 2, value, 16).ptr == &text[i + 1] + 2) {
            out += static_cast<char>(value);
            i += 2;
        } else {
            out += plus_is_space && text[i] == '+' ? ' ' : text[i];
        }
    }
    return out;
}

// "http://host/path?query" without its first part. The absolute form is what proxies are sent, but every
// server has to take it (RFC 9112, 3.2.2).
std::string_view without_origin(std::string_view target) {
    for (const std::string_view scheme : {"http://", "https://"}) {
        const bool same =
            std::equal(scheme.begin(), scheme.end(), target.begin(),
                       target.begin() + static_cast<std::ptrdiff_t>(std::min(scheme.size(), target.size())),
                       [](char known, char given) { return known == given || known == (given | 0x20); });
        if (same) return target.substr(std::min(target.find_first_of("/?", scheme.size()), target.size()));
    }
    return target;
}

}  // namespace

std::string_view reason_phrase(int status) {
    switch (status) {
        case 200:
            return "OK";
        case 202:
            return "Accepted";
        case 400:
            return "Bad Request";
        case 401:
            return "Unauthorized";
        case 403:
            return "Forbidden";
        case 404:
            return "Not Found";
        case 405:
            return "Method Not Allowed";
        case 408:
            return "Request Timeout";
        case 413:
            return "Payload Too Large";
        case 415:
            return "Unsupported Media Type";
        case 426:
            return "Upgrade Required";
        case 429:
            return "Too Many Requests";
        case 431:
            return "Request Header Fields Too Large";
        case 499:
            return "Client Closed Request";
        case 503:
            return "Service Unavailable";
        default:
            return "Internal Server Error";
    }
}

std::string error_object(const Error& error, int status) {
    JsonWriter out;
    out.begin_object().field("message", error.message).field("type", error_type(status));
    out.key("param"), error.param.empty() ? out.value(nullptr) : out.value(error.param);
    out.key("code"), error.tag.empty() ? out.value(nullptr) : out.value(error.tag);
    return out.end_object().take();
}

std::string error_body(const Error& error, int status) {
    JsonWriter out;
    return out.begin_object().key("error").raw(error_object(error, status)).end_object().take();
}

int http_status(const Error& error) {
    switch (error.code) {
        case ErrorCode::invalid_argument:
            return 400;
        case ErrorCode::unauthenticated:
            return 401;
        case ErrorCode::not_found:
            return 404;
        case ErrorCode::timed_out:
            return 408;
        case ErrorCode::too_large:
            return 413;
        case ErrorCode::resource_exhausted:
            return 429;
        case ErrorCode::cancelled:
            return 499;
        case ErrorCode::internal:
            return 500;
        case ErrorCode::unavailable:
            return 503;
    }
    return 500;
}

HttpReply error_reply(const Error& error) { return error_reply(error, http_status(error)); }

HttpReply error_reply(const Error& error, int status, std::uint32_t retry_after_s) {
    HttpReply reply;
    reply.status = status;
    reply.body = error_body(error, status);
    if (status == 429 || status == 503)
        reply.headers.emplace_back("Retry-After", std::to_string(retry_after_s));
    if (status == 401) reply.headers.emplace_back("WWW-Authenticate", "Bearer");
    return reply;
}

void set_target(HttpRequest& request, std::string_view target) {
    target = without_origin(target);
    const std::size_t mark = target.find('?');
    request.path = mark == 0 || target.empty() ? "/" : percent_decoded(target.substr(0, mark), false);
    request.query = mark == std::string_view::npos ? std::string_view() : target.substr(mark + 1);
}

std::string query_value(std::string_view query, std::string_view name) {
    while (!query.empty()) {
        const std::string_view pair = query.substr(0, query.find('&'));
        query.remove_prefix(std::min(pair.size() + 1, query.size()));
        const std::size_t equals = pair.find('=');
        if (pair.substr(0, equals) != name) continue;
        return equals == std::string_view::npos ? std::string()
                                                : percent_decoded(pair.substr(equals + 1), true);
    }
    return {};
}

std::string accept_request_id(std::string_view offered) {
    const bool visible =
        std::all_of(offered.begin(), offered.end(), [](char c) { return c > 0x20 && c < 0x7F; });
    return !offered.empty() && offered.size() <= 128 && visible ? std::string(offered) : random_id("req_");
}

}  // namespace troupe::net
