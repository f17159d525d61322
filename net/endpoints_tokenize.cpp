// Tokenize and detokenize, as vLLM's.
#include "conf/values.hpp"
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

constexpr std::size_t kQuickBytes = 16U << 10;

// What is to be converted, until that is done or the client has left: what waits for nobody is skipped.
template <class Input>
class TextCall final : public Producer {
  public:
    TextCall(Input input, std::size_t bytes) : input_(std::move(input)), bytes_(bytes) {}
    void produce() override {}
    void client_gone() override { input_ = Input(); }
    // Closing a connection looks like closing half of it: who did the former wants no long text read.
    bool is_quick() const override { return bytes_ <= kQuickBytes; }

  private:
    Input input_;
    const std::size_t bytes_;
};

template <class Input>
void keep(const std::shared_ptr<Exchange>& exchange, Input input, std::size_t bytes) {
    exchange->serve(std::make_shared<TextCall<Input>>(std::move(input), bytes), Delivery::whole);
}

Error too_long(const Api& api, const char* field, const std::string& has, std::size_t most) {
    return {ErrorCode::too_large,
            std::string(field) + " has " + has + ", but at most " + std::to_string(most) +
                " are converted at once (--max-tokenize-size " + format_size(api.config.max_tokenize_bytes) +
                "); send it in parts",
            field, "text_too_long"};
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
    if (auto status = check_template_reads(card->reads, request->options); !status)
        return exchange->fail(status.error());
    Prompt prompt = prompt_of(*request);
    const std::size_t bytes = text_bytes(prompt), most = api.config.max_tokenize_bytes;
    if (bytes > most) {
        const char* field = request->prompt ? "prompt" : "messages";
        return exchange->fail(too_long(api, field, std::to_string(bytes) + " bytes", most));
    }
    const auto memory = prompt_memory(api, {&prompt, 1});
    if (!memory) return exchange->fail(memory.error());
    const SharedPrompt shared(std::move(prompt), *memory);
    keep(exchange, shared, bytes);
    api.port.tokenize(
        card->id, shared,
        reply_with<std::vector<TokenId>>(exchange, [length = card->max_model_len](const auto& tokens) {
            return tokens_body(tokens, length);
        }));
}

void post_detokenize(Api& api, const std::shared_ptr<Exchange>& exchange) {
    auto request = parse_detokenize(exchange->request().body, api.unknown);
    if (!request) return exchange->fail(request.error());
    auto card = serving_model(api.port, request->model);
    if (!card) return exchange->fail(card.error());
    const std::size_t count = request->tokens->size(), most = api.config.max_tokenize_bytes / sizeof(TokenId);
    if (count > most) return exchange->fail(too_long(api, "tokens", std::to_string(count) + " ids", most));
    const auto ids = std::make_shared<const std::vector<TokenId>>(*std::move(request->tokens));
    keep(exchange, ids, count * sizeof(TokenId));
    api.port.detokenize(card->id, ids, reply_with<std::string>(exchange, prompt_body));
}

}  // namespace troupe::net
