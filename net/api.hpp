// What every endpoint needs. One per server; the members are thread-safe.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "actors/client_port.hpp"
#include "conf/config.hpp"
#include "net/api_keys.hpp"
#include "net/body_budget.hpp"
#include "net/exchange.hpp"
#include "net/fields.hpp"
#include "net/http_stats.hpp"
#include "net/lease_keeper.hpp"
#include "net/request_log.hpp"

namespace troupe::net {

struct Api {
    const ServerConfig& config;
    ClientPort& port;
    std::function<std::int64_t()> clock;  // Unix seconds
    LogSink log;
    std::function<std::uint64_t()> open_connections;
    std::function<Status()> reload;  // Server::reload
    UnknownFields unknown;
    BodyBudget bodies;
    KeyRing keys;
    HttpStats stats;
    LeaseKeeper leases;
};

// Header fields that decide whether a request is served; empty if absent.
struct HeaderFields {
    std::string_view authorization, origin, host;
    std::string_view wanted_method, wanted_headers;  // Access-Control-Request-...
    std::string_view content_type, content_encoding;
    bool upgrade = false;  // to a WebSocket
};
// The answer to a request that its header alone decides: a browser's preflight, a page of another origin, no
// key or a wrong one, a limit of the key, a path that is not there, a method that the path does not have, a
// body that is not read. Nothing if its body is wanted: then the request carries its key, and its place
// within the key's limits.
std::optional<HttpReply> refusal(Api& api, HttpRequest& request, const HeaderFields& header);
// begin_request() of api_keys.hpp, counted if a limit is reached.
std::optional<LimitReached> begin_request(Api& api, const ApiKeyPtr& key, KeyLeasePtr& lease);
// Answers a request that has no refusal(), now or later, through the exchange.
void route(Api& api, const std::shared_ptr<Exchange>& exchange);

// Method and path of every route.
std::vector<std::pair<std::string_view, std::string_view>> route_names();

// The card of the model that a request names, by whichever of its names; not_found lists all of them. A
// server with one model is asked for that one by requests that name none.
Result<ModelCard> find_model(const ClientPort& port, const std::string& name);
// The same for a request that is to be served now: refused while the server drains, while the model loads,
// and when it has no worker any more.
Result<ModelCard> serving_model(const ClientPort& port, const std::string& name);
// What a request's prompts hold of --max-body-memory, to be given to each of them: they count until they have
// been tokenized, or nobody waits for them. The error says that there is no room; small ones always have
// room.
Result<std::shared_ptr<const void>> prompt_memory(Api& api, std::span<const Prompt> prompts);
// Why every generation is refused now, if it is: loading or draining.
Status check_ready(const ClientPort& port);

// Endpoints, by file: endpoints_admin.cpp, endpoints_info.cpp, endpoints_generate.cpp,
// endpoints_responses.cpp, endpoints_tokenize.cpp.
void get_health(Api& api, const std::shared_ptr<Exchange>& exchange);
void get_ready(Api& api, const std::shared_ptr<Exchange>& exchange);
void get_metrics(Api& api, const std::shared_ptr<Exchange>& exchange);
void get_version(Api& api, const std::shared_ptr<Exchange>& exchange);
void get_openapi(Api& api, const std::shared_ptr<Exchange>& exchange);
void get_models(Api& api, const std::shared_ptr<Exchange>& exchange);
void get_model(Api& api, const std::shared_ptr<Exchange>& exchange, const std::string& id);
void post_completions(Api& api, const std::shared_ptr<Exchange>& exchange);
void post_chat_completions(Api& api, const std::shared_ptr<Exchange>& exchange);
void post_responses(Api& api, const std::shared_ptr<Exchange>& exchange);
void get_response(Api& api, const std::shared_ptr<Exchange>& exchange, const std::string& id);
void cancel_response(Api& api, const std::shared_ptr<Exchange>& exchange, const std::string& id);
void post_tokenize(Api& api, const std::shared_ptr<Exchange>& exchange);
void post_drain(Api& api, const std::shared_ptr<Exchange>& exchange);
void post_reload(Api& api, const std::shared_ptr<Exchange>& exchange);
void post_policy(Api& api, const std::shared_ptr<Exchange>& exchange);
void post_detokenize(Api& api, const std::shared_ptr<Exchange>& exchange);

}  // namespace troupe::net
