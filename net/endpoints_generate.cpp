// POST /v1/completions and /v1/chat/completions: each prompt is one generation, one choice.
#include "net/answer_reader.hpp"
#include "net/api.hpp"
#include "net/event_reader.hpp"
#include "net/random_id.hpp"
#include "net/requests.hpp"
#include "net/text_render.hpp"

namespace troupe::net {
namespace {

struct Choice {
    std::string id;  // of the generation
    std::shared_ptr<EventReader> reader;
    TextChoice answer;  // text: gathered for a whole answer only
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
          include_usage_(request.include_usage),
          tools_(std::move(tools)) {}

    void submit(const CommonRequest& request, const std::string& model, std::vector<Prompt> prompts) {
        for (std::size_t index = 0; index < prompts.size(); ++index) {
            const std::string id = index == 0 ? answer_.id() : answer_.id() + "-" + std::to_string(index);
            choices_.push_back({id, std::make_shared<EventReader>(exchange_->wake()), {}});
        }
        for (std::size_t index = 0; index < prompts.size(); ++index) {
            GenerationRequest generation;
            generation.id = choices_[index].id;
            generation.model = model;
            if (const ApiKeyPtr& key = exchange_->request().key) generation.tenant = key->tenant;
            generation.prompt = std::move(prompts[index]);
            generation.sampling = request.sampling;
            generation.priority = request.priority.value_or(0);
            generation.deadline_ms = request.deadline_ms;
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
        if (events.finished) {
            choice.ended = true;
            ++ended_;
            count(events.finished->usage);
            if (auto error = error_of(*events.finished)) return fail(*error);
            reason = choice.answer.reason = events.finished->reason;
        }
        if (events.started && chat_) choice.parts_of = AnswerReader(events.started->thinking, tools_);
        if (!events.text && !reason) return;
        show(index,
             choice.parts_of.read(events.text ? std::string_view(events.text->text) : "", reason.has_value()),
             reason);
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
        if (!parts.reasoning.empty()) exchange_->send_event(answer_.reasoning_chunk(index, parts.reasoning));
        if (!parts.calls.empty()) {
            if (!parts.content.empty())
                exchange_->send_event(answer_.text_chunk(index, parts.content, std::nullopt));
            exchange_->send_event(answer_.calls_chunk(index, first_call, parts.calls));
            if (reason) exchange_->send_event(answer_.text_chunk(index, "", reason, true));
        } else if (!parts.content.empty() || reason) {
            exchange_->send_event(answer_.text_chunk(index, parts.content, reason, choice.calls > 0));
        }
    }

    static std::optional<Error> error_of(const FinishedEvent& finished) {
        if (finished.error) return finished.error;
        if (finished.reason == FinishReason::failed) return internal_error("the generation failed");
        if (finished.reason == FinishReason::cancelled) {
            return Error{ErrorCode::cancelled, "the generation was cancelled", {}, "cancelled"};
        }
        return std::nullopt;
    }

    void count(const Usage& usage) {
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
        for (Choice& choice : choices_) answers.push_back(std::move(choice.answer));
        HttpReply reply;
        reply.body = answer_.whole(answers, usage_);
        exchange_->reply(std::move(reply));
    }

    Api& api_;
    const std::shared_ptr<Exchange> exchange_;
    const TextAnswer answer_;
    const bool chat_, stream_, include_usage_;
    const std::vector<std::string> tools_;  // names of those that the model was shown
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
    auto prompts = std::move(request->prompts);
    start(api, exchange, *request, TextStyle::completion, std::move(prompts));
}

void post_chat_completions(Api& api, const std::shared_ptr<Exchange>& exchange) {
    auto request = parse_chat(exchange->request().body, api.unknown);
    if (!request) return exchange->fail(request.error());
    start(api, exchange, *request, TextStyle::chat,
          {ChatPrompt{template_variables(request->messages, request->options)}},
          request->options.show_tools ? tool_names(request->options.tools) : std::vector<std::string>());
}

}  // namespace troupe::net
