#include "actors/frontend_actor.hpp"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <random>

namespace troupe {

namespace {

const char* prompt_field(const Prompt& prompt) {
    return std::holds_alternative<ChatPrompt>(prompt) ? "messages" : "prompt";
}

// The wall clock here, for templates that write the date.
jinja::CivilTime local_time() {
    auto seconds = std::time(nullptr);
    std::tm parts{};
    localtime_r(&seconds, &parts);
    return jinja::CivilTime(std::chrono::seconds(timegm(&parts)));
}

std::uint64_t draw_seed() {
    std::random_device device;
    return (std::uint64_t{device()} << 32) | device();
}

}  // namespace

Frontend::Frontend(std::shared_ptr<const LoadedModel> model, std::uint32_t max_sequence_len)
    : model_(std::move(model)), max_sequence_len_(max_sequence_len) {
    if (model_->chat_template) {
        chat_template_ = ChatTemplate::parse(*model_->chat_template, model_->bos_token, model_->eos_token);
    }
}

PreparedRequest Frontend::prepare(const PrepareRequest& request) const {
    PreparedRequest prepared;
    auto refuse = [&](Error error) {
        prepared.error = std::move(error);
        return prepared;
    };
    const auto* field = prompt_field(request.prompt);
    auto ids = tokenize(request.prompt);
    if (!ids) return refuse(ids.error());
    if (ids->empty())
        return refuse(invalid_argument("The prompt has no tokens; it must have at least one.", field));
    if (auto status = check_ids(request.sampling.stop_token_ids, "stop_token_ids"); !status)
        return refuse(status.error());
    if (ids->size() >= max_sequence_len_) {
        return refuse(
            invalid_argument("The prompt has " + std::to_string(ids->size()) +
                                 " tokens, but prompt and output together may have at most " +
                                 std::to_string(max_sequence_len_) +
                                 " here (the model's context, --max-model-len or --kv-blocks). Shorten it.",
                             field, "context_length_exceeded"));
    }

    const auto& wish = request.sampling;
    const auto& defaults = model_->generation;
    prepared.sampling.temperature = wish.temperature.value_or(defaults.temperature);
    prepared.sampling.top_p = wish.top_p.value_or(defaults.top_p);
    prepared.sampling.min_p = wish.min_p.value_or(defaults.min_p);
    prepared.sampling.top_k = wish.top_k.value_or(defaults.top_k);
    prepared.sampling.seed = wish.seed ? *wish.seed : draw_seed();
    auto room = max_sequence_len_ - static_cast<std::uint32_t>(ids->size());
    prepared.stop.max_tokens = std::min(wish.max_tokens.value_or(room), room);
    prepared.stop.ignore_eos = wish.ignore_eos;
    prepared.stop.stop_token_ids = wish.stop_token_ids;
    prepared.prompt_ids = *std::move(ids);
    prepared.ok = true;
    return prepared;
}

Result<std::vector<TokenId>> Frontend::tokenize(const Prompt& prompt) const {
    return std::visit([this](const auto& p) { return tokenize(p); }, prompt);
}

Result<std::vector<TokenId>> Frontend::tokenize(const TextPrompt& prompt) const {
    return model_->tokenizer->encode(
        prompt.text, {.parse_special = prompt.parse_special, .add_special = prompt.add_special});
}

Result<std::vector<TokenId>> Frontend::tokenize(const TokenPrompt& prompt) const {
    if (auto status = check_ids(prompt.ids, "prompt"); !status) return status.error();
    return prompt.ids;
}

Result<std::vector<TokenId>> Frontend::tokenize(const ChatPrompt& prompt) const {
    if (!chat_template_) {
        return invalid_argument("This model has no chat template; use /v1/completions with a prompt.",
                                "messages");
    }
    if (!*chat_template_) return chat_template_->error();
    auto text = chat_template_->value().render(prompt.variables, local_time());
    if (!text) return text.error();
    return model_->tokenizer->encode(*text, {.parse_special = true, .add_special = false});
}

Result<std::string> Frontend::detokenize(const std::vector<TokenId>& ids) const {
    if (auto status = check_ids(ids, "tokens"); !status) return status.error();
    return model_->tokenizer->decode(ids, {.skip_special = false});
}

Status Frontend::check_ids(const std::vector<TokenId>& ids, const char* field) const {
    auto size = static_cast<TokenId>(model_->spec.vocab_size);
    for (auto id : ids) {
        if (id < 0 || id >= size) {
            return invalid_argument("Token id " + std::to_string(id) + " is outside the vocabulary (0 to " +
                                        std::to_string(size - 1) + ").",
                                    field);
        }
    }
    return {};
}

FrontendActor::behavior_type frontend(FrontendActor::pointer self, std::shared_ptr<const LoadedModel> model,
                                      std::uint32_t max_sequence_len) {
    exit_with_exceptions(self);
    auto state = std::make_shared<const Frontend>(std::move(model), max_sequence_len);
    return {
        [state](const PrepareRequest& message) { return state->prepare(message); },
        [state](const TokenizeText& message, const IdsReply& reply) {
            reply.done(state->tokenize(message.prompt));
        },
        [state](const DetokenizeIds& message, const TextReply& reply) {
            reply.done(state->detokenize(message.ids));
        },
    };
}

}  // namespace troupe
