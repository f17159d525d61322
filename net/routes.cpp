#include <algorithm>
#include <array>

#include "net/api.hpp"
#include "net/utf8.hpp"

namespace troupe::net {
namespace {

using ExchangePtr = std::shared_ptr<Exchange>;

struct Route {
    std::string_view method;
    std::string_view path;  // "{id}" stands for one segment
    void (*handle)(Api&, const ExchangePtr&, const std::string& id);
};

template <void (*endpoint)(Api&, const ExchangePtr&)>
void plain(Api& api, const ExchangePtr& exchange, const std::string&) {
    endpoint(api, exchange);
}

constexpr std::array kRoutes = {
    Route{"GET", "/health", plain<get_health>},
    Route{"GET", "/ready", plain<get_ready>},
    Route{"GET", "/metrics", plain<get_metrics>},
    Route{"GET", "/v1/models", plain<get_models>},
    Route{"GET", "/v1/models/{id}", get_model},
    Route{"POST", "/v1/completions", plain<post_completions>},
    Route{"POST", "/v1/chat/completions", plain<post_chat_completions>},
    Route{"GET", "/v1/responses",
          [](Api&, const ExchangePtr& exchange, const std::string&) {
              exchange->fail(
                  invalid_argument("GET /v1/responses is for WebSockets: send an upgrade, or POST instead"));
          }},
    Route{"POST", "/v1/responses", plain<post_responses>},
    Route{"GET", "/v1/responses/{id}", get_response},
    Route{"POST", "/v1/responses/{id}/cancel", cancel_response},
    Route{"POST", "/tokenize", plain<post_tokenize>},
    Route{"POST", "/detokenize", plain<post_detokenize>},
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
    std::string id;       // for the route
    std::string allowed;  // methods of the path, if it is there but not with this method
};

Match match(const HttpRequest& request) {
    const std::string_view method = request.method == "HEAD" ? std::string_view("GET") : request.method;
    Match found;
    for (const Route& candidate : kRoutes) {
        std::string id;
        if (!fits(candidate.path, request.path, id)) continue;
        if (candidate.method == method) return {&candidate, std::move(id), {}};
        found.allowed += found.allowed.empty() ? "" : ", ";
        found.allowed += candidate.method == "GET" ? std::string_view("GET, HEAD") : candidate.method;
    }
    return found;
}

// For probes, which have none.
bool needs_key(std::string_view path) { return path != "/health" && path != "/metrics" && path != "/ready"; }

Status check_key(const ServerConfig& config, std::string_view authorization) {
    if (config.api_key.empty()) return {};
    constexpr std::string_view scheme = "Bearer ";
    const bool bearer = authorization.size() >= scheme.size() &&
                        std::equal(scheme.begin(), scheme.end(), authorization.begin(),
                                   [](char a, char b) { return (a | 0x20) == (b | 0x20); });
    if (!bearer) {
        return Error{ErrorCode::unauthenticated,
                     "this server needs a key: send the header Authorization: Bearer KEY",
                     {},
                     "missing_api_key"};
    }
    if (equal_constant_time(authorization.substr(scheme.size()), config.api_key)) return {};
    return Error{ErrorCode::unauthenticated,
                 "the key in the Authorization header is not this server's",
                 {},
                 "invalid_api_key"};
}

}  // namespace

std::optional<HttpReply> refusal(const ServerConfig& config, const HttpRequest& request,
                                 std::string_view authorization) {
    if (needs_key(request.path)) {
        if (auto key = check_key(config, authorization); !key) return error_reply(key.error());
    }
    const Match found = match(request);
    if (found.route != nullptr) return std::nullopt;
    if (found.allowed.empty()) {
        return error_reply(
            not_found("there is nothing at " + request.method + " " + shortened(request.path, 100)));
    }
    auto reply = error_reply(
        invalid_argument(request.path + " allows " + found.allowed + ", not " + request.method), 405);
    reply.headers.emplace_back("Allow", found.allowed);
    return reply;
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
        if (card.id == name) return std::move(card);
        served += (served.empty() ? "" : ", ") + card.id;
    }
    const std::string complaint = name.empty()
                                      ? "this server has several models, so a request must name one"
                                      : "the model '" + shortened(name, 100) + "' does not exist here";
    return Error{ErrorCode::not_found, complaint + "; served: " + served, "model", "model_not_found"};
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
