#include "net/response_run.hpp"

namespace troupe::net {
namespace {

constexpr std::string_view kReplacedTag = "reader_replaced";

Retention retention_of(const ResponseRecord& record) {
    if (record.background) return Retention::background;
    return record.store ? Retention::stored : Retention::none;
}

Result<GenerationRequest> generation_of(Api& api, const ResponseRequest& request,
                                        const ResponseRecord& record) {
    std::vector<Message> messages = record.messages;
    if (record.instructions) messages.insert(messages.begin(), {"system", *record.instructions});
    GenerationRequest generation;
    generation.id = record.id;
    generation.model = record.model;
    Prompt prompt = ChatPrompt{template_variables(messages, request.options)};
    const auto memory = prompt_memory(api, {&prompt, 1});
    if (!memory) return memory.error();
    generation.prompt = SharedPrompt(std::move(prompt), *memory);
    generation.sampling = request.sampling;
    generation.priority = request.priority.value_or(0);
    generation.deadline_ms = request.deadline_ms;
    generation.cache_salt = request.cache_salt.value_or("");
    generation.ttft_target_ms = request.ttft_target_ms;
    generation.tpot_target_ms = request.tpot_target_ms;
    generation.retention = retention_of(record);
    if (!record.generate) {  // a step that computes a prompt draws a token, too; nobody is shown it
        generation.sampling.max_tokens = 1;
        generation.sampling.min_tokens = 0;
    }
    generation.record = to_json(record);
    return generation;
}

Result<RunPtr> submit(const RunContext& context, ResponseRequest request, const std::string& model,
                      const GenerationSnapshot* previous, ReadOptions options, bool same_connection) {
    auto record = make_record(request, model, context.api.clock(), previous, same_connection);
    if (!record) return record.error();
    auto generation = generation_of(context.api, request, *record);
    if (!generation) return generation.error();
    generation->tenant = tenant_of(context.key);
    auto reader = std::make_shared<EventReader>(context.wake, context.unread);
    request.input = {};
    auto run = std::make_shared<ResponseRun>(context.api.port, tenant_of(context.key), *std::move(record),
                                             std::move(request), reader, std::move(options), false);
    context.api.port.submit(*std::move(generation), reader);
    return run;
}

// What a response that was created elsewhere passes on: the settings that its object shows.
ResponseRequest settings_of(const ResponseRecord& record) {
    ResponseRequest settings;
    settings.model = record.model;
    settings.sampling.temperature = record.temperature;
    settings.sampling.top_p = record.top_p;
    settings.sampling.max_tokens = record.max_output_tokens;
    settings.sampling.logprobs = record.logprobs;
    settings.metadata = record.metadata;
    settings.instructions = record.instructions;
    settings.user = record.user;
    settings.store = record.store;
    settings.tools = record.tools;
    settings.options.show_tools = record.show_tools;
    if (auto tools = parse_json(record.tools)) {
        // They were valid when the record was made.
        (void)read_tools(settings.options.tools, {(*tools)->root, "tools"}, MessageStyle::responses);
    }
    return settings;
}

// Refuses a number that none of its events has yet. The event that ends a response is sent to whoever asks,
// also to those that had it: a stream without an end looks like one that broke.
Status check_starting_after(std::int64_t& number, const KnownResponse& response) {
    const auto status = response.state.status;
    const bool running = status == GenerationStatus::queued || status == GenerationStatus::in_progress;
    const std::int64_t last = response.last_number;
    if (number > last) {
        return invalid_argument("starting_after is " + std::to_string(number) + ", but the last event of " +
                                    response.record.id + (running ? " so far" : "") + " has the number " +
                                    std::to_string(last),
                                "starting_after");
    }
    if (!running) number = std::min(number, last - 1);
    return {};
}

}  // namespace

ResponseRun::ResponseRun(ClientPort& port, std::uint64_t tenant, ResponseRecord record,
                         ResponseRequest settings, std::shared_ptr<EventReader> reader, ReadOptions options,
                         bool begun)
    : port_(port),
      tenant_(tenant),
      record_(std::move(record)),
      settings_(std::move(settings)),
      reader_(std::move(reader)),
      options_(std::move(options)),
      render_(record_, options_.lane),
      last_number_(std::max<std::int64_t>(options_.starting_after, 0)),
      begun_(begun),
      output_(record_, options_.starting_after) {}

template <class Render>
void ResponseRun::emit(std::vector<std::string>& events, std::int64_t number, Render render) {
    if (number <= options_.starting_after) return;
    events.push_back(render(number));
    last_number_ = number;
}

void ResponseRun::begin(std::vector<std::string>& events) {
    if (std::exchange(announced_, true)) return;
    begun_ = true;
    emit(events, kCreatedNumber, [&](auto) { return render_.created(); });
    emit(events, kInProgressNumber, [&](auto) { return render_.in_progress(); });
}

void ResponseRun::pump(std::vector<std::string>& events) {
    if (ended()) return;
    PendingEvents pending = reader_->take();
    const auto* error = pending.finished && pending.finished->error ? &*pending.finished->error : nullptr;
    const bool anything = pending.started || !pending.texts.empty();
    if (error != nullptr && (error->tag == kReplacedTag || (!begun_ && !anything))) {
        refusal_ = *error;
        return;
    }
    if (begun_ || anything || pending.finished) begin(events);
    if (pending.started) output_.start(thinking_ = pending.started->thinking);
    output_.push(pending.texts);
    if (!record_.store) text_ += pending.texts.text;
    if (pending.finished) {
        finish(*pending.finished, events);
    } else {
        show(events);
    }
    cancel_if_steered();
}

void ResponseRun::show(std::vector<std::string>& events) {
    for (const OutputEvent& event : output_.take_events()) {
        events.push_back(render_.of_item(event, output_.items()[event.item]));
        last_number_ = event.number;
    }
}

void ResponseRun::finish(const FinishedEvent& finished, std::vector<std::string>& events) {
    output_.finish(status_after(finished.reason), finished.usage.completion_tokens);
    show(events);
    end_ = end_state(record_, finished.reason, finished.usage, finished.error, output_);
    emit(events, output_.next_number(), [&](auto number) { return render_.ended(number, *end_); });
}

GenerationSnapshot ResponseRun::snapshot() const {
    GenerationSnapshot result;
    result.id = record_.id;
    result.record = to_json(record_);
    result.status = end_->status;
    result.output.text = text_;
    result.thinking = thinking_;
    return result;
}

void ResponseRun::steer() {
    steered_ = true;
    cancel_if_steered();
}

void ResponseRun::cancel_if_steered() {
    if (!steered_ || cancelled_ || ended() || !output_.speaks()) return;
    cancelled_ = true;
    port_.cancel(record_.id, tenant_, FinishReason::steered, [](const Result<GenerationSnapshot>&) {});
}

void ResponseRun::detach() {
    if (!ended()) port_.detach(record_.id, reader_);
}

void create_response(const RunContext& context, ResponseRequest request, ReadOptions options, RunResult done,
                     const GenerationSnapshot* known) {
    auto card = serving_model(context.api.port, request.model);
    if (!card) return done(card.error());
    if (auto status = check_template_reads(card->reads, request.options, "reasoning.effort"); !status)
        return done(status.error());
    if (!request.previous_response_id || known != nullptr) {
        return done(submit(context, std::move(request), card->id, known, std::move(options), true));
    }
    const std::string previous = *request.previous_response_id;
    if (!previous.starts_with(kResponseIdPrefix)) return done(previous_response_not_found(previous));
    auto go_on = [context, request = std::move(request), options = std::move(options), done = std::move(done),
                  model = card->id](const Result<GenerationSnapshot>& snapshot) {
        if (snapshot) return done(submit(context, request, model, &snapshot.value(), options, false));
        const bool unknown = snapshot.error().code == ErrorCode::not_found;
        done(unknown ? previous_response_not_found(*request.previous_response_id) : snapshot.error());
    };
    context.api.port.lookup(
        previous, tenant_of(context.key),
        [post = context.post, go_on = std::move(go_on)](Result<GenerationSnapshot> snapshot) {
            post([go_on, snapshot = std::move(snapshot)] { go_on(snapshot); });
        });
}

Result<KnownResponse> known_response(const std::string& id, const Result<GenerationSnapshot>& snapshot) {
    if (!snapshot && snapshot.error().code != ErrorCode::not_found) return snapshot.error();
    if (!snapshot) return response_not_found(id);
    auto record = record_from_json(snapshot->record);
    if (!record) return response_not_found(id);
    ResponseOutput output(*record, kNoEvents);
    output.start(snapshot->thinking);
    output.push(snapshot->output);
    KnownResponse known{*record, {snapshot->status, output.items()}, output.next_number() - 1};
    if (!snapshot->reason) return known;
    output.finish(snapshot->status, snapshot->usage.completion_tokens);
    known.state = end_state(*record, *snapshot->reason, snapshot->usage, snapshot->error, output);
    known.last_number = output.next_number();
    return known;
}

Result<KnownResponse> stored_response(const std::string& id, const Result<GenerationSnapshot>& snapshot) {
    auto known = known_response(id, snapshot);
    if (known && !known->record.store) return response_not_found(id);
    return known;
}

void resume_response(const RunContext& context, const std::string& id, ReadOptions options, RunResult done) {
    if (!id.starts_with(kResponseIdPrefix)) return done(response_not_found(id));
    auto attach = [context, id, options = std::move(options),
                   done](const Result<GenerationSnapshot>& snapshot) {
        auto stored = stored_response(id, snapshot);
        if (!stored) return done(stored.error());
        ReadOptions unread = options;
        if (auto status = check_starting_after(unread.starting_after, *stored); !status) {
            return done(status.error());
        }
        // All texts are fetched: what is told of them, and under which numbers, depends on those before.
        auto reader = std::make_shared<EventReader>(context.wake, context.unread);
        auto settings = settings_of(stored->record);
        auto run =
            std::make_shared<ResponseRun>(context.api.port, tenant_of(context.key), std::move(stored->record),
                                          std::move(settings), reader, unread, true);
        context.api.port.attach(
            id, tenant_of(context.key), 0, reader, [post = context.post, id, run, done](Status status) {
                post([id, run, done, status = std::move(status)] {
                    if (status) return done(run);
                    done(status.error().code == ErrorCode::not_found ? response_not_found(id)
                                                                     : status.error());
                });
            });
    };
    context.api.port.lookup(
        id, tenant_of(context.key),
        [post = context.post, attach = std::move(attach)](Result<GenerationSnapshot> snapshot) {
            post([attach, snapshot = std::move(snapshot)] { attach(snapshot); });
        });
}

void leave_response(const RunContext& context, ResponseRun& run, KeyLeasePtr lease) {
    if (run.runs_on()) context.api.leases.keep(run.record().id, std::move(lease));
    run.detach();
}

}  // namespace troupe::net
