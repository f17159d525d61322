// POST /v1/completions and /v1/chat/completions: n generations of each prompt, each one choice.
#include <algorithm>
#include <functional>
#include <iterator>

#include "net/answer_reader.hpp"
#include "net/api.hpp"
#include "net/event_reader.hpp"
#include "net/logprobs_render.hpp"
#include "net/random_id.hpp"
#include "net/requests.hpp"
#include "net/text_render.hpp"
#include "net/utf8.hpp"

namespace troupe::net {
namespace {

struct Choice {
    std::string id;  // of the generation
    std::shared_ptr<EventReader> reader;
    TextChoice answer;                   // text: gathered for a whole answer only
    std::vector<TextLogprobs> logprobs;  // not yet sent, or gathered
    std::uint32_t offset = 0;            // characters of the echoed prompt
    Usage usage;                         // so far
    AnswerReader parts_of{};
    std::size_t calls = 0;  // of tools, so far
    bool begun = false;     // its role chunk is out
    bool ended = false;
};

class TextCall final : public Producer {
  public:
    TextCall(Api& api, std::shared_ptr<Exchange> exchange, TextAnswer answer, const CommonRequest& request,
             std::vector<std::string> tools)
        : api_(api),
          exchange_(std::move(exchange)),
          answer_(std::move(answer)),
          chat_(answer_.style() == TextStyle::chat),
          stream_(request.stream),
          n_(request.n),
          include_usage_(request.include_usage),
          continuous_usage_(request.include_usage && request.continuous_usage),
          echo_(request.echo),
          logprobs_(request.sampling.logprobs),
          prompt_logprobs_(request.sampling.prompt_logprobs),
          tokens_as_ids_(request.tokens_as_ids),
          tools_(std::move(tools)) {}

    // Choice p * n + i is the i-th of prompt p.
    void submit(const CommonRequest& request, const std::string& model, std::vector<Prompt> prompts) {
        for (std::size_t index = 0; index < prompts.size() * n_; ++index) {
            const std::string id = index == 0 ? answer_.id() : answer_.id() + "-" + std::to_string(index);
            Choice& choice = choices_.emplace_back();
            choice.id = id;
            choice.reader = std::make_shared<EventReader>(exchange_->wake());
        }
        if (echo_) {
            for (const Prompt& prompt : prompts) {
                const auto* text = std::get_if<TextPrompt>(&prompt);
                given_.push_back(text != nullptr ? std::optional(text->text) : std::nullopt);
            }
        }
        const std::vector<SharedPrompt> shared(std::make_move_iterator(prompts.begin()),
                                               std::make_move_iterator(prompts.end()));
        for (std::size_t index = 0; index < choices_.size(); ++index) {
            GenerationRequest generation;
            generation.id = choices_[index].id;
            generation.model = model;
            generation.tenant = tenant_of(exchange_->request().key);
            generation.prompt = shared[index / n_];
            generation.sampling = request.sampling;
            if (echo_ && logprobs_) {
                auto& prompt = generation.sampling.prompt_logprobs;
                prompt = std::max(prompt.value_or(0), *request.sampling.logprobs);
            }
            generation.describe_prompt = echo_ || prompt_logprobs_;
            generation.priority = request.priority.value_or(0);
            generation.deadline_ms = request.deadline_ms;
            generation.choice = static_cast<std::uint32_t>(index % n_);
            if (n_ > 1)
                generation.prompt_group = std::hash<std::string>()(choices_[index - index % n_].id) | 1;
            api_.port.submit(std::move(generation), choices_[index].reader);
        }
    }

    void produce() override {
        for (std::size_t index = 0; index < choices_.size() && !failed_; ++index) pump(index);
        if (!failed_ && ended_ == choices_.size()) finish();
    }

    void client_gone() override {
        for (const Choice& choice : choices_) {
            if (!choice.ended) api_.port.detach(choice.id, choice.reader);
        }
    }

  private:
    void pump(std::size_t index) {
        Choice& choice = choices_[index];
        if (choice.ended) return;
        PendingEvents events = choice.reader->take();
        std::optional<FinishReason> reason;
        std::string text;
        if (events.started) {
            choice.usage.prompt_tokens = events.started->prompt_tokens;
            if (chat_) choice.parts_of = AnswerReader(events.started->thinking, tools_);
        }
        if (events.prompt) take_prompt(index, *events.prompt, text);
        if (events.text) {
            text += events.text->text;
            choice.usage.completion_tokens = events.text->completion_tokens;
            take_logprobs(choice, events.text->logprobs);
        }
        if (events.finished) {
            choice.ended = true;
            ++ended_;
            choice.usage = events.finished->usage;
            count(index, events.finished->usage);
            if (auto error = error_of(*events.finished)) return fail(*error);
            reason = choice.answer.reason = events.finished->reason;
            take_logprobs(choice, events.finished->logprobs);
        }
        if (text.empty() && !events.text && !reason) return;
        if (chat_) return show(index, choice.parts_of.read(text, reason.has_value()), reason);
        show(index, {.content = std::move(text)}, reason);
    }

    void show(std::size_t index, const AnswerParts& parts, std::optional<FinishReason> reason) {
        Choice& choice = choices_[index];
        const std::size_t first_call = choice.calls;
        choice.calls += parts.calls.size();
        if (!stream_) {
            choice.answer.text += parts.content;
            choice.answer.reasoning += parts.reasoning;
            choice.answer.calls.insert(choice.answer.calls.end(), parts.calls.begin(), parts.calls.end());
            return;
        }
        if (parts.empty() && !reason) return;  // held back
        if (!choice.begun && chat_) exchange_->send_event(answer_.role_chunk(index));
        choice.begun = true;
        // The log probabilities of all parts go with the first.
        ChunkExtras extras{logprobs_json(choice), std::nullopt};
        if (continuous_usage_) extras.usage = choice.usage;
        choice.logprobs.clear();
        const auto send = [&](const std::string& chunk) {
            exchange_->send_event(chunk);
            extras.logprobs = "null";
        };
        if (!parts.reasoning.empty()) send(answer_.reasoning_chunk(index, parts.reasoning, extras));
        if (!parts.calls.empty()) {
            if (!parts.content.empty())
                send(answer_.text_chunk(index, parts.content, std::nullopt, false, extras));
            send(answer_.calls_chunk(index, first_call, parts.calls, extras));
            if (reason) send(answer_.text_chunk(index, "", reason, true, extras));
        } else if (!parts.content.empty() || reason) {
            send(answer_.text_chunk(index, parts.content, reason, choice.calls > 0, extras));
        }
    }

    void take_prompt(std::size_t index, const PromptEvent& prompt, std::string& text) {
        Choice& choice = choices_[index];
        if (prompt_logprobs_)
            choice.answer.prompt_logprobs = prompt_logprobs(with_top(prompt.logprobs, *prompt_logprobs_));
        if (!echo_) return;
        const auto& given = given_[index / n_];
        text = given && !prompt.cut ? *given : prompt.text;
        if (logprobs_) take_logprobs(choice, with_top(prompt.logprobs, *logprobs_));
        choice.offset = static_cast<std::uint32_t>(utf8_characters(text));
    }

    void take_logprobs(Choice& choice, const std::vector<TextLogprobs>& entries) const {
        if (!logprobs_) return;
        for (const TextLogprobs& entry : entries) {
            choice.logprobs.push_back(entry);
            choice.logprobs.back().offset += choice.offset;
        }
    }

    std::string logprobs_json(const Choice& choice) const {
        if (!logprobs_) return "null";
        return chat_ ? chat_logprobs(choice.logprobs) : completion_logprobs(choice.logprobs, tokens_as_ids_);
    }

    // Both kinds of the prompt's come from one list, as long as the longer one needs it.
    static std::vector<TextLogprobs> with_top(std::vector<TextLogprobs> entries, std::size_t count) {
        for (TextLogprobs& entry : entries) entry.top.resize(std::min(entry.top.size(), count));
        return entries;
    }

    static std::optional<Error> error_of(const FinishedEvent& finished) {
        if (finished.error) return finished.error;
        if (finished.reason == FinishReason::failed) return internal_error("the generation failed");
        if (finished.reason == FinishReason::cancelled) {
            return Error{ErrorCode::cancelled, "the generation was cancelled", {}, "cancelled"};
        }
        return std::nullopt;
    }

    // A prompt counts once, whatever the number of its choices.
    void count(std::size_t index, Usage usage) {
        if (index % n_ != 0) usage.prompt_tokens = usage.cached_tokens = 0;
        exchange_->count_tokens(usage);
        usage_.prompt_tokens += usage.prompt_tokens;
        usage_.cached_tokens += usage.cached_tokens;
        usage_.completion_tokens += usage.completion_tokens;
    }

    void fail(const Error& error) {
        failed_ = true;
        client_gone();  // nobody wants the other choices any more
        exchange_->fail(error);
    }

    void finish() {
        if (stream_) {
            if (include_usage_) exchange_->send_event(answer_.usage_chunk(usage_));
            return exchange_->finish_events();
        }
        std::vector<TextChoice> answers;
        for (Choice& choice : choices_) {
            choice.answer.logprobs = logprobs_json(choice);
            answers.push_back(std::move(choice.answer));
        }
        HttpReply reply;
        reply.body = answer_.whole(answers, usage_);
        exchange_->reply(std::move(reply));
    }

    Api& api_;
    const std::shared_ptr<Exchange> exchange_;
    const TextAnswer answer_;
    const bool chat_, stream_;
    const std::size_t n_;
    const bool include_usage_, continuous_usage_, echo_;
    const std::optional<std::uint32_t> logprobs_, prompt_logprobs_;
    const bool tokens_as_ids_;
    const std::vector<std::string> tools_;           // names of those that the model was shown
    std::vector<std::optional<std::string>> given_;  // to echo: each prompt's text, if the client sent that
    std::vector<Choice> choices_;
    std::size_t ended_ = 0;
    bool failed_ = false;
    Usage usage_;
};

void start(Api& api, const std::shared_ptr<Exchange>& exchange, const CommonRequest& request, TextStyle style,
           std::vector<Prompt> prompts, std::vector<std::string> tools = {}) {
    auto card = serving_model(api.port, request.model);
    if (!card) return exchange->fail(card.error());
    const std::string id = random_id(style == TextStyle::chat ? "chatcmpl-" : "cmpl-");
    TextAnswer answer(style, id, api.clock(), card->id, request.include_usage);
    auto call = std::make_shared<TextCall>(api, exchange, std::move(answer), request, std::move(tools));
    exchange->serve(call, request.stream ? Delivery::events : Delivery::whole);
    call->submit(request, card->id, std::move(prompts));
}

}  // namespace

void post_completions(Api& api, const std::shared_ptr<Exchange>& exchange) {
    auto request = parse_completion(exchange->request().body, api.unknown);
    if (!request) return exchange->fail(request.error());
    start(api, exchange, *request, TextStyle::completion, std::move(request->prompts));
}

void post_chat_completions(Api& api, const std::shared_ptr<Exchange>& exchange) {
    auto request = parse_chat(exchange->request().body, api.unknown);
    if (!request) return exchange->fail(request.error());
    start(api, exchange, *request, TextStyle::chat,
          {ChatPrompt{template_variables(request->messages, request->options)}},
          request->options.show_tools ? tool_names(request->options.tools) : std::vector<std::string>());
}

}  // namespace troupe::net
