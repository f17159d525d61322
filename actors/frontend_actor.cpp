#include "actors/frontend_actor.hpp"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <random>

#include "actors/frontend_queue.hpp"

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

Frontend::Frontend(std::shared_ptr<const LoadedModel> model, SequenceLimits limits)
    : model_(std::move(model)), limits_(limits) {
    for (std::size_t id = 0; id < model_->tokenizer->vocab_size(); ++id) {
        longest_token_ =
            std::max(longest_token_, model_->tokenizer->token_bytes(static_cast<TokenId>(id)).size());
    }
    if (model_->chat_template) {
        chat_template_ = ChatTemplate::parse(*model_->chat_template, model_->bos_token, model_->eos_token);
    }
}

PreparedRequest Frontend::prepare(const PrepareRequest& request) {
    PreparedRequest prepared;
    const auto prompt = request.prompt.lock();
    auto refuse = [&](Error error) {
        prepared.error = std::move(error);
        return prepared;
    };
    if (!prompt) return refuse(internal_error("The request has ended."));  // nobody reads this
    const auto* field = prompt_field(*prompt);
    if (const auto* text = std::get_if<TextPrompt>(prompt.get())) {
        if (auto status = check_length(text->text.size(), field); !status) return refuse(status.error());
    }
    const auto& ids = ids_of(prompt);
    if (!ids) return refuse(ids.error());
    const auto length = truncated(ids->size(), request.sampling);
    if (length == 0)
        return refuse(invalid_argument("The prompt has no tokens; it must have at least one.", field));
    if (auto status = check_ids(request.sampling.stop_token_ids, "stop_token_ids"); !status)
        return refuse(status.error());
    for (const auto& entry : request.sampling.logit_bias) {
        if (auto status = check_ids({entry.token}, "logit_bias"); !status) return refuse(status.error());
    }
    if (auto status = check_room(length, request.sampling.max_tokens, field); !status) {
        return refuse(status.error());
    }
    const auto& wish = request.sampling;
    const auto room = limits_.tokens() - static_cast<std::uint32_t>(length);
    prepared.stop.max_tokens = std::max(wish.max_tokens.value_or(room), 1U);  // of 0 the token is not used
    prepared.stop.ignore_eos = wish.ignore_eos;
    prepared.stop.stop_token_ids = wish.stop_token_ids;
    if (wish.min_tokens > prepared.stop.max_tokens) {
        return refuse(invalid_argument("min_tokens is " + std::to_string(wish.min_tokens) +
                                           ", but the output may have at most " +
                                           std::to_string(prepared.stop.max_tokens) + " tokens.",
                                       "min_tokens"));
    }
    prepared.sampling = resolve(wish);
    if (auto status = resolve_dry(wish.dry, prepared.sampling.dry); !status) return refuse(status.error());
    prepared.prompt_ids.assign(ids->end() - static_cast<std::ptrdiff_t>(length), ids->end());
    prepared.thinking = thinking_after(*prompt, prepared.prompt_ids);
    prepared.cut = length < ids->size();
    prepared.ok = true;
    return prepared;
}

const Result<std::vector<TokenId>>& Frontend::ids_of(const std::shared_ptr<const Prompt>& prompt) {
    const bool same = !last_.owner_before(prompt) && !prompt.owner_before(last_);
    if (same) return last_ids_;
    last_.reset();  // should this throw
    last_ids_ = tokenize(*prompt);
    last_ = prompt;
    ++num_tokenized_;
    return last_ids_;
}

std::size_t Frontend::truncated(std::size_t prompt, const RequestedSampling& wish) const {
    if (!wish.truncate_prompt_tokens) return prompt;
    const auto output = std::min(std::max(wish.max_tokens.value_or(1), 1U), limits_.tokens() - 1);
    const auto fit = std::size_t{limits_.tokens() - output};
    const auto wanted = static_cast<std::size_t>(*wish.truncate_prompt_tokens);
    const auto kept = *wish.truncate_prompt_tokens < 0 ? fit : wanted;
    return std::min(prompt, kept);
}

SamplingParams Frontend::resolve(const RequestedSampling& wish) const {
    const auto& defaults = model_->generation;
    SamplingParams sampling;
    sampling.temperature = wish.temperature.value_or(defaults.temperature);
    sampling.top_p = wish.top_p.value_or(defaults.top_p);
    sampling.min_p = wish.min_p.value_or(defaults.min_p);
    sampling.top_k = wish.top_k.value_or(defaults.top_k);
    sampling.seed = wish.seed ? *wish.seed : draw_seed();
    sampling.typical_p = wish.typical_p.value_or(defaults.typical_p);
    sampling.xtc_probability = wish.xtc_probability.value_or(sampling.xtc_probability);
    sampling.xtc_threshold = wish.xtc_threshold.value_or(sampling.xtc_threshold);
    sampling.repetition_penalty = wish.repetition_penalty.value_or(defaults.repetition_penalty);
    sampling.presence_penalty = wish.presence_penalty.value_or(0.0F);
    sampling.frequency_penalty = wish.frequency_penalty.value_or(0.0F);
    sampling.logit_bias = wish.logit_bias;
    if (wish.logprobs) sampling.logprobs = static_cast<std::int32_t>(*wish.logprobs);
    if (wish.prompt_logprobs) sampling.prompt_logprobs = static_cast<std::int32_t>(*wish.prompt_logprobs);
    sampling.min_tokens = wish.min_tokens;
    if (wish.min_tokens > 0) {
        sampling.end_tokens = wish.stop_token_ids;
        const auto& ends = defaults.end_token_ids;
        if (!wish.ignore_eos) sampling.end_tokens.insert(sampling.end_tokens.end(), ends.begin(), ends.end());
    }
    return sampling;
}

Status Frontend::resolve_dry(const RequestedDry& wish, DryParams& dry) {
    if (wish.multiplier == 0.0F) return {};
    const auto texts = wish.breakers.value_or(std::vector<std::string>{"\n", ":", "\"", "*"});
    if (texts != breaker_texts_) {
        std::vector<bool> known(texts.size(), false);
        std::vector<TokenId> breakers;
        for (std::size_t id = 0; id < model_->tokenizer->vocab_size(); ++id) {
            const auto token = model_->tokenizer->token_bytes(static_cast<TokenId>(id));
            bool breaks = false;
            for (std::size_t i = 0; i < texts.size(); ++i) {
                if (token.find(texts[i]) != token.npos) breaks = known[i] = true;
            }
            if (breaks) breakers.push_back(static_cast<TokenId>(id));
        }
        const auto missing = std::find(known.begin(), known.end(), false);
        if (missing != known.end() && wish.breakers) {  // a model may lack one of ours
            const auto field = "dry_sequence_breakers[" + std::to_string(missing - known.begin()) + "]";
            return invalid_argument(
                field + " is in no token of this model, so it could not break anything; give a shorter text",
                field);
        }
        breaker_texts_ = texts;
        breakers_ = std::move(breakers);
    }
    dry = {wish.multiplier, wish.base, wish.allowed_length, wish.last_n, breakers_};
    return {};
}

Result<std::vector<TokenId>> Frontend::tokenize(const Prompt& prompt) const {
    return std::visit([this](const auto& p) { return tokenize(p); }, prompt);
}

Status Frontend::check_room(std::size_t prompt, std::optional<std::uint32_t> max_tokens,
                            const char* field) const {
    std::size_t most = limits_.tokens();
    auto limit = std::to_string(most) + " tokens (" + limits_.flag() + ")";
    auto have = "The prompt has " + std::to_string(prompt) + " tokens";
    if (prompt >= most) {
        return invalid_argument(
            have + ", but prompt and output together may have at most " + limit + ". Shorten it.", field,
            "context_length_exceeded");
    }
    if (max_tokens && *max_tokens > most - prompt) {
        return invalid_argument(have + " and max_tokens is " + std::to_string(*max_tokens) +
                                    ", but together they may have at most " + limit + ": ask for at most " +
                                    std::to_string(most - prompt) + ".",
                                "max_tokens", "context_length_exceeded");
    }
    return {};
}

// Refuses what cannot fit before the time is spent to find out: nobody else should wait for that.
// Normalization makes texts shorter, composing three bytes into one character at the most.
Status Frontend::check_length(std::size_t bytes, const char* field) const {
    constexpr std::size_t shrinkage = 3;
    auto most = std::size_t{limits_.tokens()} * longest_token_ * shrinkage;
    if (bytes <= most) return {};
    return invalid_argument("The prompt has " + std::to_string(bytes) + " bytes, more than " +
                                std::to_string(limits_.tokens()) + " tokens can hold. Shorten it.",
                            field, "context_length_exceeded");
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
    if (auto status = check_length(text->size(), "messages"); !status) return status.error();
    return model_->tokenizer->encode(*text, {.parse_special = true, .add_special = false});
}

Thinking Frontend::thinking_after(const Prompt& prompt, const std::vector<TokenId>& ids) const {
    if (!std::holds_alternative<ChatPrompt>(prompt) || !model_->split_reasoning) return Thinking::none;
    if (!chat_template_->value().knows_thinking()) return Thinking::none;
    constexpr std::size_t tail = 16;  // tokens; the tag may be several
    const std::vector<TokenId> last(ids.end() - static_cast<std::ptrdiff_t>(std::min(tail, ids.size())),
                                    ids.end());
    const auto text = model_->tokenizer->decode(last, {.skip_special = false});
    return ChatTemplate::ends_thinking(text) ? Thinking::inside : Thinking::outside;
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

namespace {

// The actor's behavior: everything waits in the queue, one of it is done with each NextText.
class Desk {
  public:
    Desk(QueueingFrontend::pointer self, std::shared_ptr<const LoadedModel> model, SequenceLimits limits)
        : self_(self), frontend_(std::move(model), limits) {}

    caf::typed_response_promise<PreparedRequest> prepare(const PrepareRequest& message) {
        auto promise = self_->make_response_promise<PreparedRequest>();
        const auto prompt = message.prompt.lock();
        FrontendQueue::Job job;
        job.prompt = prompt.get();
        job.run = [this, message, promise]() mutable {
            try {
                promise.deliver(frontend_.prepare(message));
            } catch (...) {  // this is the one that the frontend dies of
                promise.deliver(caf::make_error(caf::sec::runtime_error));
                throw;
            }
        };
        job.abandon = [promise]() mutable {
            promise.deliver(caf::make_error(caf::sec::request_receiver_down));
        };
        push(prompt ? text_bytes(*prompt) : 0, std::move(job));
        return promise;
    }

    void tokenize(const TokenizeText& message, const IdsReply& reply) {
        const auto prompt = message.prompt.lock();
        push(prompt ? text_bytes(*prompt) : 0, {[this, watched = message.prompt, reply] {
                                                    if (const auto text = watched.lock())
                                                        reply.done(frontend_.tokenize(*text));
                                                },
                                                [] {}});
    }

    void detokenize(const DetokenizeIds& message, const TextReply& reply) {
        const auto given = message.ids.lock();
        push(given ? given->size() * sizeof(TokenId) : 0, {[this, watched = message.ids, reply] {
                                                               if (const auto ids = watched.lock())
                                                                   reply.done(frontend_.detokenize(*ids));
                                                           },
                                                           [] {}});
    }

    void next() {
        const auto job = queue_.pop();
        // What has arrived in the meantime takes its place in the queue before the next one is chosen.
        if (!queue_.empty()) self_->send(self_, NextText{});
        job.run();
    }

    void abandon_all() { queue_.abandon_all(); }

  private:
    void push(std::size_t bytes, FrontendQueue::Job job) {
        if (queue_.empty()) self_->send(self_, NextText{});
        queue_.push(now_us(self_), bytes, std::move(job));
    }

    QueueingFrontend::pointer self_;
    Frontend frontend_;
    FrontendQueue queue_;
};

}  // namespace

QueueingFrontend::behavior_type frontend(QueueingFrontend::pointer self,
                                         std::shared_ptr<const LoadedModel> model, SequenceLimits limits) {
    exit_with_exceptions(self);
    give_way_to_compute(self);
    auto desk = std::make_shared<Desk>(self, std::move(model), limits);
    self->attach_functor([desk] { desk->abandon_all(); });
    return {
        [desk](const PrepareRequest& message) { return desk->prepare(message); },
        [desk](const TokenizeText& message, const IdsReply& reply) { desk->tokenize(message, reply); },
        [desk](const DetokenizeIds& message, const TextReply& reply) { desk->detokenize(message, reply); },
        [desk](const NextText&) { desk->next(); },
    };
}

}  // namespace troupe
