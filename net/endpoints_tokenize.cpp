// Tokenize and detokenize, as vLLM's.
#include "net/api.hpp"
#include "net/json_writer.hpp"
#include "net/requests.hpp"

namespace troupe::net {
namespace {

Prompt prompt_of(const TokenizeRequest& request) {
    if (request.prompt) return TextPrompt{*request.prompt, request.add_special_tokens.value_or(true)};
    return ChatPrompt{template_variables(*request.messages, request.options)};
}

std::string tokens_body(const std::vector<TokenId>& tokens, std::uint32_t max_model_len) {
    JsonWriter out;
    out.begin_object().field("count", tokens.size()).field("max_model_len", max_model_len);
    out.key("tokens").begin_array();
    for (const TokenId id : tokens) out.value(id);
    return out.end_array().field("token_strs", nullptr).end_object().take();
}

std::string prompt_body(const std::string& text) {
    JsonWriter out;
    return out.begin_object().field("prompt", text).end_object().take();
}

// Answers on the connection's strand with what `body` makes of a result that comes from elsewhere.
template <class T, class Body>
std::function<void(Result<T>)> reply_with(const std::shared_ptr<Exchange>& exchange, Body body) {
    return [exchange, post = exchange->post(), body](Result<T> result) {
        post([exchange, body, result = std::move(result)] {
            if (!result) return exchange->fail(result.error());
            HttpReply reply;
            reply.body = body(*result);
            exchange->reply(std::move(reply));
        });
    };
}

}  // namespace

void post_tokenize(Api& api, const std::shared_ptr<Exchange>& exchange) {
    auto request = parse_tokenize(exchange->request().body, api.unknown);
    if (!request) return exchange->fail(request.error());
    auto card = serving_model(api.port, request->model);
    if (!card) return exchange->fail(card.error());
    api.port.tokenize(
        card->id, prompt_of(*request),
        reply_with<std::vector<TokenId>>(exchange, [length = card->max_model_len](const auto& tokens) {
            return tokens_body(tokens, length);
        }));
}

void post_detokenize(Api& api, const std::shared_ptr<Exchange>& exchange) {
    auto request = parse_detokenize(exchange->request().body, api.unknown);
    if (!request) return exchange->fail(request.error());
    auto card = serving_model(api.port, request->model);
    if (!card) return exchange->fail(card.error());
    api.port.detokenize(card->id, *std::move(request->tokens),
                        reply_with<std::string>(exchange, prompt_body));
}

}  // namespace troupe::net
