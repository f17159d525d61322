// Health, readiness, version, the API's description, models.
#include "net/api.hpp"
#include "net/json_writer.hpp"
#include "net/openapi.hpp"

namespace troupe::net {
namespace {

// By one of its names.
void write_model(JsonWriter& out, const ModelCard& card, const std::string& name) {
    out.begin_object().field("id", name).field("object", "model").field("created", card.created);
    out.field("owned_by", "troupe")
        .field("root", card.root)
        .field("max_model_len", card.max_model_len)
        .end_object();
}

const char* what_it_lacks(ServerState state) {
    switch (state) {
        case ServerState::loading:
            return "is still loading";
        case ServerState::no_worker:
            return "has no worker; requests wait for its restart";
        case ServerState::failed:
            return "has no worker any more and gets none on this server";
        case ServerState::ready:
        case ServerState::draining:
            break;
    }
    return "";
}

HttpReply json_reply(std::string body) {
    HttpReply reply;
    reply.body = std::move(body);
    return reply;
}

}  // namespace

void get_health(Api&, const std::shared_ptr<Exchange>& exchange) {
    exchange->reply(json_reply(R"({"status":"ok"})"));
}

// One model without a worker does not take the others from their clients.
void get_ready(Api& api, const std::shared_ptr<Exchange>& exchange) {
    if (auto status = check_ready(api.port); !status) return exchange->fail(status.error());
    std::string absent;
    bool serves = false;
    for (const ModelCard& card : api.port.models()) {
        if (card.state == ServerState::ready) {
            serves = true;
        } else {
            absent += (absent.empty() ? "" : "; ") + card.id + " " + what_it_lacks(card.state);
        }
    }
    if (!serves) return exchange->fail({ErrorCode::unavailable, absent, {}, "no_worker"});
    JsonWriter out;
    out.begin_object().field("status", "ready");
    if (!absent.empty()) out.field("absent", absent);
    exchange->reply(json_reply(out.end_object().take()));
}

void get_version(Api&, const std::shared_ptr<Exchange>& exchange) {
    exchange->reply(json_reply(R"({"version":")" + std::string(program_version()) + "\"}"));
}

void get_openapi(Api&, const std::shared_ptr<Exchange>& exchange) {
    exchange->reply(json_reply(std::string(openapi_document())));
}

void get_models(Api& api, const std::shared_ptr<Exchange>& exchange) {
    JsonWriter out;
    out.begin_object().field("object", "list").key("data").begin_array();
    for (const ModelCard& card : api.port.models()) {
        write_model(out, card, card.id);
        for (const std::string& alias : card.aliases) write_model(out, card, alias);
    }
    exchange->reply(json_reply(out.end_array().end_object().take()));
}

void get_model(Api& api, const std::shared_ptr<Exchange>& exchange, const std::string& id) {
    auto card = find_model(api.port, id);
    if (!card) return exchange->fail(card.error());
    JsonWriter out;
    write_model(out, *card, id);
    exchange->reply(json_reply(out.take()));
}

}  // namespace troupe::net
