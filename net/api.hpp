// What every endpoint needs. One per server; the members are thread-safe.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "actors/client_port.hpp"
#include "conf/config.hpp"
#include "net/body_budget.hpp"
#include "net/exchange.hpp"
#include "net/fields.hpp"
#include "net/request_log.hpp"

namespace troupe::net {

struct Api {
    const ServerConfig& config;
    ClientPort& port;
    std::function<std::int64_t()> clock;  // Unix seconds
    LogSink log;
    std::function<std::uint64_t()> open_connections;
    UnknownFields unknown;
    BodyBudget bodies;
};

// The answer to a request that its header alone decides: no key or a wrong one, a path that is not there, a
// method that the path does not have. Nothing if its body is wanted.
std::optional<HttpReply> refusal(const ServerConfig& config, const HttpRequest& request,
                                 std::string_view authorization);
// Answers a request that has no refusal(), now or later, through the exchange.
void route(Api& api, const std::shared_ptr<Exchange>& exchange);

// The card of the model that a request names; not_found names the served ones. A server with one model is
// asked for that one by requests that name none.
Result<ModelCard> find_model(const ClientPort& port, const std::string& name);
// The same for a request that is to be served now: refused while the server drains, while the model loads,
// and when it has no worker any more.
Result<ModelCard> serving_model(const ClientPort& port, const std::string& name);
// Why every generation is refused now, if it is: loading or draining.
Status check_ready(const ClientPort& port);

// Endpoints, by file: endpoints_info.cpp, endpoints_generate.cpp, endpoints_responses.cpp,
// endpoints_tokenize.cpp.
void get_health(Api& api, const std::shared_ptr<Exchange>& exchange);
void get_ready(Api& api, const std::shared_ptr<Exchange>& exchange);
void get_metrics(Api& api, const std::shared_ptr<Exchange>& exchange);
void get_models(Api& api, const std::shared_ptr<Exchange>& exchange);
void get_model(Api& api, const std::shared_ptr<Exchange>& exchange, const std::string& id);
void post_completions(Api& api, const std::shared_ptr<Exchange>& exchange);
void post_chat_completions(Api& api, const std::shared_ptr<Exchange>& exchange);
void post_responses(Api& api, const std::shared_ptr<Exchange>& exchange);
void get_response(Api& api, const std::shared_ptr<Exchange>& exchange, const std::string& id);
void cancel_response(Api& api, const std::shared_ptr<Exchange>& exchange, const std::string& id);
void post_tokenize(Api& api, const std::shared_ptr<Exchange>& exchange);
void post_detokenize(Api& api, const std::shared_ptr<Exchange>& exchange);

}  // namespace troupe::net
