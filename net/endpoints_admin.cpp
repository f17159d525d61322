// POST /admin/...: for the operator, with a key of --admin-api-key or one marked "admin" in --api-key-file.
#include <spdlog/spdlog.h>

#include "net/api.hpp"

namespace troupe::net {
namespace {

HttpReply status_reply(int status, const char* word) {
    HttpReply reply;
    reply.status = status;
    reply.body = std::string(R"({"status":")") + word + "\"}";
    return reply;
}

// An option's value as the policy reads it.
Status read_policy_option(PolicyRequest& request, std::string_view name, const FieldValue& value) {
    std::string text;
    if (value.json.is_string()) {
        text = std::string_view(value.json);
    } else if (value.json.is_bool()) {
        text = bool(value.json) ? "1" : "0";
    } else if (value.json.is_number()) {
        text = simdjson::minify(value.json);
    } else {
        return wrong_value(value, "a string, a number or a boolean");
    }
    if (name.empty() || name.find_first_of("=\n") != std::string_view::npos ||
        text.find('\n') != std::string::npos) {
        return wrong_value(value, "an option without line breaks, its name without =");
    }
    request.options.push_back(std::string(name) + "=" + text);
    return {};
}

Result<PolicyRequest> parse_policy(const std::string& body, UnknownFields& unknown) {
    using R = PolicyRequest;
    using V = FieldValue;
    static const Schema<R> schema = {
        {{"policy", [](R& r, const V& v) { return assign(r.name, read_string(v)); }},
         {"options",
          [](R& r, const V& v) -> Status {
              if (!v.json.is_object()) return wrong_value(v, "an object");
              return for_each_member(v, [&](std::string_view name, const V& member) {
                  return read_policy_option(r, name, member);
              });
          }},
         {"isolate", [](R& r, const V& v) { return assign(r.isolate, read_bool(v)); }}},
        {},
        {}};
    auto document = parse_json(body);
    if (!document) return document.error();
    PolicyRequest request;
    if (auto status = read_request((*document)->root, schema, "/admin/policy", unknown, request); !status)
        return status.error();
    if (request.name.empty())
        return invalid_argument("policy must name a built-in policy or a plug-in's path", "policy");
    return request;
}

}  // namespace

// New requests are refused from now on, running ones go on; the process stays until it gets SIGTERM.
void post_drain(Api& api, const std::shared_ptr<Exchange>& exchange) {
    spdlog::info("draining, as asked by POST /admin/drain ({})", exchange->request().request_id);
    api.port.drain([] { spdlog::info("drained: no request runs any more"); });
    exchange->reply(status_reply(202, "draining"));
}

// What SIGHUP does.
void post_reload(Api& api, const std::shared_ptr<Exchange>& exchange) {
    if (auto status = api.reload(); !status) return exchange->fail(status.error());
    spdlog::info("keys, certificate and access log are read anew, as asked by POST /admin/reload ({})",
                 exchange->request().request_id);
    exchange->reply(status_reply(200, "reloaded"));
}

// Running requests go on under the new policy; one that does not start leaves the old one in force.
void post_policy(Api& api, const std::shared_ptr<Exchange>& exchange) {
    auto request = parse_policy(exchange->request().body, api.unknown);
    if (!request) return exchange->fail(request.error());
    api.port.replace_policy(*std::move(request), [exchange, post = exchange->post()](Status status) {
        post([exchange, status] {
            if (!status) return exchange->fail(status.error());
            exchange->reply(status_reply(200, "replaced"));
        });
    });
}

}  // namespace troupe::net
