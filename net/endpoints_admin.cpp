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
    exchange->reply(status_reply(200, "reloaded"));
}

}  // namespace troupe::net
