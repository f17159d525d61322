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

// Entries of log probabilities, a token and its value, that an answer may list of its prompts: some 30 MB.
constexpr std::uint64_t max_prompt_entries = 1U << 19;

// Of a prompt, for all its choices. The first of them describes it, the others wait for that.
struct PromptPart {
    std::optional<std::string> given;  // its text, if the client sent that, to echo
    std::optional<std::uint32_t> cached_tokens;
    bool known = false;  // what follows
    std::string text;
    std::vector<TextLogprobs> logprobs;
    std::shared_ptr<const std::string> json;  // prompt_logprobs
};

struct Choice {
    std::string id;  // of the generation
    std::shared_ptr<EventReader> reader;
    TextChoice answer;                   // text: gathered for a whole answer only
    std::vector<TextLogprobs> logprobs;  // not yet sent, or gathered
    std::uint32_t offset = 0;            // characters of the echoed prompt
    Usage usage;                         // so far
    AnswerReader parts_of{};
    std::size_t calls = 0;  // of tools, so far
    bool echoed = false;    // its prompt is taken into its text
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
        for (const Prompt& prompt : prompts) {
            PromptPart& part = prompts_.emplace_back();
            if (const auto* text = std::get_if<TextPrompt>(&prompt); echo_ && text != nullptr)
                part.given = text->text;
        }
        const auto memory = prompt_memory(api_, prompts);
        if (!memory) return fail(memory.error());
        std::vector<SharedPrompt> shared;
        for (Prompt& prompt : prompts) shared.emplace_back(std::move(prompt), *memory);
        for (std::size_t index = 0; index < prompts_.size() * n_; ++index) {
            const std::string id = index == 0 ? answer_.id() : answer_.id() + "-" + std::to_string(index);
            Choice& choice = choices_.emplace_back();
            choice.id = id;
            choice.reader = std::make_shared<EventReader>(exchange_->wake());
        }
        for (std::size_t index = 0; index < choices_.size(); ++index) {
            GenerationRequest generation;
            generation.id = choices_[index].id;
            generation.model = model;
            generation.tenant = tenant_of(exchange_->request().key);
            generation.prompt = shared[index / n_];
            generation.sampling = request.sampling;
            auto& of_prompt = generation.sampling.prompt_logprobs;
            generation.describe_prompt = describes() && index % n_ == 0;
            if (!generation.describe_prompt) {
                of_prompt.reset();
            } else if (echo_ && logprobs_) {
                of_prompt = std::max(of_prompt.value_or(0), *logprobs_);
            }
            generation.priority = request.priority.value_or(0);
            generation.deadline_ms = request.deadline_ms;
            generation.cache_salt = request.cache_salt.value_or("");
            generation.ttft_target_ms = request.ttft_target_ms;
            generation.tpot_target_ms = request.tpot_target_ms;
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
        PromptPart& prompt = prompts_[index / n_];
        const bool first = index % n_ == 0;
        if (choice.ended || (describes() && !first && !prompt.known)) return;
        PendingEvents events = choice.reader->take();
        std::optional<FinishReason> reason;
        if (events.started) {
            choice.usage.prompt_tokens = events.started->prompt_tokens;
            if (first && !count_prompt_entries(events.started->prompt_tokens)) return;
            if (chat_) choice.parts_of = AnswerReader(events.started->thinking, tools_);
        }
        if (events.prompt) learn(prompt, *std::move(events.prompt));
        AnswerParts parts = take_parts(choice, events);
        if (prompt.known && !choice.echoed && choice.usage.prompt_tokens > 0)
            take_prompt(choice, prompt, parts.content);
        if (!events.texts.empty()) {
            choice.usage.completion_tokens = events.texts.marks.back().completion_tokens;
            take_logprobs(choice, events.texts.logprobs);
        }
        if (events.finished) {
            choice.ended = true;
            ++ended_;
            choice.usage = events.finished->usage;
            choice.usage.reasoning_tokens = choice.parts_of.reasoning_tokens();
            count(index, choice.usage);
            if (auto error = error_of(*events.finished)) return fail(*error);
            reason = choice.answer.reason = events.finished->reason;
            take_logprobs(choice, events.finished->logprobs);
        }
        if (!parts.empty() || !events.texts.empty() || reason) show(index, parts, reason);
    }

    AnswerParts take_parts(Choice& choice, const PendingEvents& events) const {
        if (!chat_) return {.content = events.texts.text};
        AnswerParts parts = choice.parts_of.read(events.texts);
        if (events.finished) parts.append(choice.parts_of.finish(events.finished->usage.completion_tokens));
        choice.usage.reasoning_tokens = choice.parts_of.reasoning_tokens();
        return parts;
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

    bool describes() const { return echo_ || prompt_logprobs_; }

    // Whether the answer is still small enough with this prompt's; fails if not.
    bool count_prompt_entries(std::uint64_t tokens) {
        std::uint64_t each = 0;
        if (prompt_logprobs_) each += *prompt_logprobs_ + 1;
        if (echo_ && logprobs_) each += *logprobs_ + 1;
        prompt_entries_ += tokens * each * n_;
        if (prompt_entries_ <= max_prompt_entries) return true;
        const char* field = prompt_logprobs_ ? "prompt_logprobs" : "logprobs";
        fail(invalid_argument("The answer would list " + std::to_string(prompt_entries_) +
                                  " log probabilities of its prompts (tokens x (" + field +
                                  " + 1) x n), more than " + std::to_string(max_prompt_entries) +
                                  ". Ask for fewer of them, fewer choices, or with a shorter prompt.",
                              field));
        return false;
    }

    void learn(PromptPart& part, PromptEvent prompt) {
        part.known = true;
        if (prompt_logprobs_) {
            part.json = std::make_shared<const std::string>(
                prompt_logprobs(with_top(prompt.logprobs, *prompt_logprobs_)));
        }
        if (!echo_) return;
        part.text = part.given && !prompt.cut ? *std::move(part.given) : std::move(prompt.text);
        if (logprobs_) part.logprobs = with_top(std::move(prompt.logprobs), *logprobs_);
    }

    void take_prompt(Choice& choice, const PromptPart& part, std::string& text) const {
        choice.echoed = true;
        choice.answer.prompt_logprobs = part.json;
        text.insert(0, part.text);
        take_logprobs(choice, part.logprobs);
        choice.offset = static_cast<std::uint32_t>(utf8_characters(part.text));
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

    // A prompt counts once, whatever the number of its choices. What they took from each other was not cached
    // before: the one of them that took the least says what was.
    void count(std::size_t index, Usage usage) {
        auto& cached = prompts_[index / n_].cached_tokens;
        cached = std::min(cached.value_or(usage.cached_tokens), usage.cached_tokens);
        if (index % n_ != 0) usage.prompt_tokens = usage.cached_tokens = 0;
        exchange_->count_tokens(usage);
        usage_.prompt_tokens += usage.prompt_tokens;
        usage_.completion_tokens += usage.completion_tokens;
        usage_.reasoning_tokens += usage.reasoning_tokens;
    }

    void fail(const Error& error) {
        failed_ = true;
        client_gone();  // nobody wants the other choices any more
        exchange_->fail(error);
    }

    void finish() {
        for (const PromptPart& prompt : prompts_) usage_.cached_tokens += prompt.cached_tokens.value_or(0);
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
    const std::vector<std::string> tools_;  // names of those that the model was shown
    std::vector<PromptPart> prompts_;
    std::uint64_t prompt_entries_ = 0;
    std::vector<Choice> choices_;
    std::size_t ended_ = 0;
    bool failed_ = false;
    Usage usage_;
};

void start(Api& api, const std::shared_ptr<Exchange>& exchange, const CommonRequest& request, TextStyle style,
           std::vector<Prompt> prompts, const TemplateOptions& options = {}) {
    auto card = serving_model(api.port, request.model);
    if (!card) return exchange->fail(card.error());
    if (auto status = check_template_reads(card->reads, options); !status)
        return exchange->fail(status.error());
    auto tools = options.show_tools ? tool_names(options.tools) : std::vector<std::string>();
    if (const KeyLeasePtr& lease = exchange->request().lease) {
        const auto reached = lease->count_sequences(static_cast<std::uint32_t>(prompts.size()) * request.n);
        if (reached) {
            api.stats.refused("key_concurrency");
            return exchange->fail(reached->error);
        }
    }
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
          {ChatPrompt{template_variables(request->messages, request->options)}}, request->options);
}

}  // namespace troupe::net
