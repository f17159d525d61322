#include <algorithm>
#include <array>

#include "net/api.hpp"
#include "net/cors.hpp"
#include "net/utf8.hpp"

namespace troupe::net {
namespace {

using ExchangePtr = std::shared_ptr<Exchange>;

enum class Access : std::uint8_t {
    anyone,
    key,   // if the server has keys
    work,  // the same, and it counts for the key's limits
    admin
};

struct Route {
    std::string_view method;
    std::string_view path;  // "{id}" stands for one segment
    Access access;
    void (*handle)(Api&, const ExchangePtr&, const std::string& id);
};

template <void (*endpoint)(Api&, const ExchangePtr&)>
void plain(Api& api, const ExchangePtr& exchange, const std::string&) {
    endpoint(api, exchange);
}

constexpr std::array kRoutes = {
    Route{"GET", "/health", Access::anyone, plain<get_health>},
    Route{"GET", "/ready", Access::anyone, plain<get_ready>},
    Route{"GET", "/metrics", Access::anyone, plain<get_metrics>},
    Route{"GET", "/version", Access::anyone, plain<get_version>},
    Route{"GET", "/openapi.json", Access::anyone, plain<get_openapi>},
    Route{"GET", "/v1/models", Access::key, plain<get_models>},
    Route{"GET", "/v1/models/{id}", Access::key, get_model},
    Route{"POST", "/v1/completions", Access::work, plain<post_completions>},
    Route{"POST", "/v1/chat/completions", Access::work, plain<post_chat_completions>},
    Route{"GET", "/v1/responses", Access::key,
          [](Api&, const ExchangePtr& exchange, const std::string&) {
              exchange->fail(
                  invalid_argument("GET /v1/responses is for WebSockets: send an upgrade, or POST instead"));
          }},
    Route{"POST", "/v1/responses", Access::work, plain<post_responses>},
    Route{"GET", "/v1/responses/{id}", Access::key, get_response},
    Route{"POST", "/v1/responses/{id}/cancel", Access::key, cancel_response},
    Route{"POST", "/tokenize", Access::work, plain<post_tokenize>},
    Route{"POST", "/detokenize", Access::work, plain<post_detokenize>},
    Route{"POST", "/admin/drain", Access::admin, plain<post_drain>},
    Route{"POST", "/admin/reload", Access::admin, plain<post_reload>},
    Route{"POST", "/admin/policy", Access::admin, plain<post_policy>},
};

// Whether `path` fits `pattern`; `id` is then what stands for {id}. The id may hold slashes only at the end
// of the pattern: models are often called "organization/name".
bool fits(std::string_view pattern, std::string_view path, std::string& id) {
    const std::size_t hole = pattern.find("{id}");
    if (hole == std::string_view::npos) return pattern == path;
    const std::string_view tail = pattern.substr(hole + 4);
    if (path.size() <= hole + tail.size() || !path.starts_with(pattern.substr(0, hole)) ||
        !path.ends_with(tail)) {
        return false;
    }
    id = path.substr(hole, path.size() - hole - tail.size());
    return tail.empty() ? pattern.starts_with("/v1/models") || id.find('/') == std::string::npos
                        : id.find('/') == std::string::npos;
}

struct Match {
    const Route* route = nullptr;
    Access access = Access::key;  // also if the method is not there
    std::string id;               // for the route
    std::string allowed;          // methods of the path, if it is there but not with this method
};

Match match(const HttpRequest& request) {
    const std::string_view method = request.method == "HEAD" ? std::string_view("GET") : request.method;
    Match found;
    for (const Route& candidate : kRoutes) {
        std::string id;
        if (!fits(candidate.path, request.path, id)) continue;
        if (candidate.method == method) return {&candidate, candidate.access, std::move(id), {}};
        found.access = candidate.access;
        found.allowed += found.allowed.empty() ? "" : ", ";
        found.allowed += candidate.method == "GET" ? std::string_view("GET, HEAD") : candidate.method;
    }
    return found;
}

// The key behind "Bearer ", if there is one.
std::optional<std::string_view> bearer_key(std::string_view authorization) {
    constexpr std::string_view scheme = "Bearer ";
    const bool bearer = authorization.size() >= scheme.size() &&
                        std::equal(scheme.begin(), scheme.end(), authorization.begin(),
                                   [](char a, char b) { return (a | 0x20) == (b | 0x20); });
    if (!bearer) return std::nullopt;
    return authorization.substr(scheme.size());
}

HttpReply refuse_key(Api& api, const char* message, const char* code, int status) {
    api.stats.refused("api_key");
    return error_reply({ErrorCode::unauthenticated, message, {}, code}, status);
}

HttpReply nothing_there(const HttpRequest& request) {
    return error_reply(
        not_found("there is nothing at " + request.method + " " + shortened(request.path, 100)));
}

std::optional<HttpReply> check_key(Api& api, HttpRequest& request, Access access,
                                   std::string_view authorization) {
    const auto keys = api.keys.get();
    if (access == Access::anyone) return std::nullopt;
    if (access == Access::admin && !keys->has_admin()) return nothing_there(request);
    if (access != Access::admin && keys->open()) return std::nullopt;
    const auto presented = bearer_key(authorization);
    if (!presented) {
        return refuse_key(api, "this server needs a key: send the header Authorization: Bearer KEY",
                          "missing_api_key", 401);
    }
    request.key = keys->find(*presented);
    if (!request.key) {
        return refuse_key(api, "the key in the Authorization header is not this server's", "invalid_api_key",
                          401);
    }
    if (access == Access::admin && !request.key->admin) {
        return refuse_key(api, "this key is not the administrator's", "admin_key_required", 403);
    }
    return std::nullopt;
}

bool same_letters(std::string_view a, std::string_view b) {  // whatever their case; for ASCII letters
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](char x, char y) { return x == y || ((x | 0x20) == (y | 0x20) && (x & 0x40) != 0); });
}

bool is_json(std::string_view content_type) {
    std::string_view media = content_type.substr(0, content_type.find(';'));
    while (!media.empty() && (media.back() == ' ' || media.back() == '\t')) media.remove_suffix(1);
    return same_letters(media, "application/json");
}

HttpReply unsupported_media(const std::string& message, const char* code) {
    return error_reply(invalid_argument(message, {}, code), 415);
}

// Browsers ask nobody before they open a WebSocket or send a POST that a form could send too, so what pages
// of other origins may do is for us to say. None of them has a key of ours unless it was given one.
std::optional<HttpReply> check_origin(Api& api, const HttpRequest& request, const HeaderFields& header) {
    const bool reads = request.method == "GET" || request.method == "HEAD" || request.method == "OPTIONS";
    if (header.origin.empty() || (reads && !header.upgrade) || request.key) return std::nullopt;
    if (origin_allowed(api.config, header.origin) || same_origin(header.origin, header.host)) {
        return std::nullopt;
    }
    // JSON is no form: for it a browser does ask first, and without a list nobody is told yes.
    const bool asked = api.config.cors_origins.empty() && !header.upgrade;
    if (asked && is_json(header.content_type)) return std::nullopt;
    api.stats.refused("origin");
    if (!asked) return error_reply(origin_not_allowed(header.origin), 403);
    return unsupported_media(
        "a page (header Origin) must send Content-Type: application/json, or its origin must be allowed with "
        "--cors-origin",
        "json_required");
}

std::optional<HttpReply> check_encoding(const HeaderFields& header) {
    if (header.content_encoding.empty() || same_letters(header.content_encoding, "identity"))
        return std::nullopt;
    return unsupported_media("the body has Content-Encoding: " + shortened(header.content_encoding, 100) +
                                 ", which this server does not read; send it as it is, without that header",
                             "unsupported_encoding");
}

}  // namespace

std::optional<HttpReply> refusal(Api& api, HttpRequest& request, const HeaderFields& header) {
    if (auto reply = preflight_reply(api.config, request, header.origin, header.wanted_method,
                                     header.wanted_headers)) {
        return reply;
    }
    const Match found = match(request);
    if (auto reply = check_key(api, request, found.access, header.authorization)) return reply;
    if (auto reply = check_origin(api, request, header)) return reply;
    if (found.route == nullptr && found.allowed.empty()) return nothing_there(request);
    if (found.route == nullptr) {
        auto reply = error_reply(
            invalid_argument(request.path + " allows " + found.allowed + ", not " + request.method), 405);
        reply.headers.emplace_back("Allow", found.allowed);
        return reply;
    }
    if (auto reply = check_encoding(header)) return reply;
    if (found.access != Access::work) return std::nullopt;
    const auto reached = begin_request(api, request.key, request.lease);
    if (!reached) return std::nullopt;
    return error_reply(reached->error, 429, reached->retry_after_s);
}

std::optional<LimitReached> begin_request(Api& api, const ApiKeyPtr& key, KeyLeasePtr& lease) {
    auto reached = begin_request(key, lease);
    if (reached) api.stats.refused(reached->error.tag == "key_rate_limit" ? "key_rate" : "key_concurrency");
    return reached;
}

std::vector<std::pair<std::string_view, std::string_view>> route_names() {
    std::vector<std::pair<std::string_view, std::string_view>> names;
    for (const Route& one : kRoutes) names.emplace_back(one.method, one.path);
    return names;
}

void route(Api& api, const ExchangePtr& exchange) {
    const Match found = match(exchange->request());
    found.route->handle(api, exchange, found.id);
}

namespace {

Error loading_error() {
    return {ErrorCode::unavailable, "the model is still loading; try again soon", {}, "loading"};
}

}  // namespace

Result<ModelCard> find_model(const ClientPort& port, const std::string& name) {
    std::vector<ModelCard> cards = port.models();
    if (cards.empty()) return loading_error();
    if (name.empty() && cards.size() == 1) return std::move(cards.front());
    std::string served;
    for (ModelCard& card : cards) {
        if (card.id == name ||
            std::find(card.aliases.begin(), card.aliases.end(), name) != card.aliases.end())
            return std::move(card);
        served += (served.empty() ? "" : ", ") + card.id;
        for (const std::string& alias : card.aliases) served += ", " + alias;
    }
    const std::string complaint = name.empty()
                                      ? "this server has several models, so a request must name one"
                                      : "the model '" + shortened(name, 100) + "' does not exist here";
    return Error{ErrorCode::not_found, complaint + "; served: " + served, "model", "model_not_found"};
}

Result<std::shared_ptr<const void>> prompt_memory(Api& api, std::span<const Prompt> prompts) {
    std::uint64_t bytes = 0;
    for (const Prompt& prompt : prompts) {
        const auto* tokens = std::get_if<TokenPrompt>(&prompt);
        bytes += tokens != nullptr ? tokens->ids.size() * sizeof(TokenId) : text_bytes(prompt);
    }
    auto share = std::make_shared<BodyBudget::Share>(api.bodies);
    if (share->grow_to(bytes)) return std::shared_ptr<const void>(std::move(share));
    api.stats.refused("body_memory");
    return Error{
        ErrorCode::unavailable,
        "the prompts that wait to be read are together too large (--max-body-memory); try again later",
        {},
        "too_many_body_bytes"};
}

Status check_ready(const ClientPort& port) {
    const ServerState state = port.state();
    if (state == ServerState::draining) {
        return Error{
            ErrorCode::unavailable, "the server is shutting down and takes no new requests", {}, "draining"};
    }
    if (state != ServerState::loading) return {};  // without a worker requests wait for its restart
    const std::vector<ModelCard> cards = port.models();
    const bool any_loaded = std::any_of(
        cards.begin(), cards.end(), [](const ModelCard& card) { return card.state != ServerState::loading; });
    return any_loaded ? Status() : loading_error();
}

Result<ModelCard> serving_model(const ClientPort& port, const std::string& name) {
    if (auto status = check_ready(port); !status) return status.error();
    auto card = find_model(port, name);
    if (!card) return card;
    if (card->state == ServerState::loading) return loading_error();
    if (card->state == ServerState::failed) {
        return Error{ErrorCode::unavailable,
                     "the model '" + card->id + "' has no worker any more and gets none on this server",
                     {},
                     "model_failed"};
    }
    return card;
}

}  // namespace troupe::net
