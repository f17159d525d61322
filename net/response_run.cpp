#include "net/response_run.hpp"

namespace troupe::net {
namespace {

constexpr std::string_view kReplacedTag = "reader_replaced";

std::uint64_t first_wanted_text(std::int64_t starting_after) {
    return starting_after < kFirstTextNumber
               ? 0
               : static_cast<std::uint64_t>(starting_after - kFirstTextNumber) + 1;
}

Retention retention_of(const ResponseRecord& record) {
    if (record.background) return Retention::background;
    return record.store ? Retention::stored : Retention::none;
}

GenerationRequest generation_of(const ResponseRequest& request, const ResponseRecord& record) {
    std::vector<Message> messages = record.messages;
    if (record.instructions) messages.insert(messages.begin(), {"system", *record.instructions});
    GenerationRequest generation;
    generation.id = record.id;
    generation.model = record.model;
    generation.prompt = ChatPrompt{template_variables(messages, request.options)};
    generation.sampling = request.sampling;
    generation.priority = request.priority.value_or(0);
    generation.deadline_ms = request.deadline_ms;
    generation.retention = retention_of(record);
    generation.record = to_json(record);
    return generation;
}

Result<RunPtr> submit(const RunContext& context, const ResponseRequest& request, const std::string& model,
                      const GenerationSnapshot* previous, ReadOptions options) {
    auto record = make_record(request, model, context.api.clock(), previous);
    if (!record) return record.error();
    GenerationRequest generation = generation_of(request, *record);
    if (context.key) generation.tenant = context.key->tenant;
    auto reader = std::make_shared<EventReader>(context.wake);
    auto run = std::make_shared<ResponseRun>(context.api.port, *std::move(record), reader, std::move(options),
                                             false);
    context.api.port.submit(std::move(generation), reader);
    return run;
}

}  // namespace

ResponseRun::ResponseRun(ClientPort& port, ResponseRecord record, std::shared_ptr<EventReader> reader,
                         ReadOptions options, bool begun)
    : port_(port),
      record_(std::move(record)),
      reader_(std::move(reader)),
      options_(std::move(options)),
      render_(record_, options_.lane),
      begun_(begun) {}

template <class Render>
void ResponseRun::emit(std::vector<std::string>& events, std::int64_t number, Render render) const {
    if (number > options_.starting_after) events.push_back(render(number));
}

void ResponseRun::begin(std::vector<std::string>& events) {
    if (std::exchange(announced_, true)) return;
    begun_ = true;
    emit(events, kCreatedNumber, [&](auto) { return render_.created(); });
    emit(events, kInProgressNumber, [&](auto) { return render_.in_progress(); });
}

void ResponseRun::open_item(std::vector<std::string>& events) {
    if (std::exchange(item_open_, true)) return;
    emit(events, kItemNumber, [&](auto) { return render_.item_added(); });
    emit(events, kPartNumber, [&](auto) { return render_.part_added(); });
}

void ResponseRun::pump(std::vector<std::string>& events) {
    if (ended()) return;
    PendingEvents pending = reader_->take();
    const auto* error = pending.finished && pending.finished->error ? &*pending.finished->error : nullptr;
    const bool anything = pending.started || pending.text || !pending.skipped.empty();
    if (error != nullptr && (error->tag == kReplacedTag || (!begun_ && !anything))) {
        refusal_ = *error;
        return;
    }
    if (begun_ || anything || pending.finished) begin(events);
    if (pending.started) splitter_ = ReasoningSplitter(pending.started->thinking);
    const std::string skipped = splitter_.push(pending.skipped).content;
    text_ += skipped;
    if (!skipped.empty()) open_item(events);
    if (pending.text) show(splitter_.push(pending.text->text).content, pending.text->index, events);
    if (pending.finished && pending.finished->index > 0)
        show(splitter_.finish().content, pending.finished->index - 1, events);
    if (pending.finished) finish(*pending.finished, events);
}

void ResponseRun::show(const std::string& content, std::uint64_t index, std::vector<std::string>& events) {
    if (content.empty()) return;
    open_item(events);
    text_ += content;
    emit(events, kFirstTextNumber + static_cast<std::int64_t>(index),
         [&](auto number) { return render_.text_delta(number, content); });
}

void ResponseRun::finish(const FinishedEvent& finished, std::vector<std::string>& events) {
    end_ = state_of(finished, std::move(text_));
    const std::int64_t last = end_number(end_->status, finished.index);
    if (end_->status != GenerationStatus::failed) {
        open_item(events);
        emit(events, last - 3, [&](auto number) { return render_.text_done(number, end_->text); });
        emit(events, last - 2, [&](auto number) { return render_.part_done(number, end_->text); });
        emit(events, last - 1, [&](auto number) { return render_.item_done(number, *end_); });
    }
    emit(events, last, [&](auto number) { return render_.ended(number, *end_); });
}

void ResponseRun::detach() {
    if (!ended()) port_.detach(record_.id, reader_);
}

std::int64_t end_number(GenerationStatus status, std::uint64_t texts) {
    return kFirstTextNumber + static_cast<std::int64_t>(texts) + (status == GenerationStatus::failed ? 0 : 3);
}

void create_response(const RunContext& context, ResponseRequest request, ReadOptions options,
                     RunResult done) {
    auto card = serving_model(context.api.port, request.model);
    if (!card) return done(card.error());
    if (!request.previous_response_id) {
        return done(submit(context, request, card->id, nullptr, std::move(options)));
    }
    const std::string previous = *request.previous_response_id;
    if (!previous.starts_with(kResponseIdPrefix)) return done(previous_response_not_found(previous));
    auto go_on = [context, request = std::move(request), options = std::move(options), done = std::move(done),
                  model = card->id](const Result<GenerationSnapshot>& snapshot) {
        if (snapshot) return done(submit(context, request, model, &snapshot.value(), options));
        const bool unknown = snapshot.error().code == ErrorCode::not_found;
        done(unknown ? previous_response_not_found(*request.previous_response_id) : snapshot.error());
    };
    context.api.port.lookup(
        previous, [post = context.post, go_on = std::move(go_on)](Result<GenerationSnapshot> snapshot) {
            post([go_on, snapshot = std::move(snapshot)] { go_on(snapshot); });
        });
}

Result<KnownResponse> known_response(const std::string& id, const Result<GenerationSnapshot>& snapshot) {
    if (!snapshot && snapshot.error().code != ErrorCode::not_found) return snapshot.error();
    if (!snapshot) return response_not_found(id);
    auto record = record_from_json(snapshot->record);
    if (!record) return response_not_found(id);
    return KnownResponse{*std::move(record), state_of(*snapshot), snapshot->next_index};
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
        // All texts are fetched, because the done events repeat the whole text; those that were read are set
        // apart.
        auto reader = std::make_shared<EventReader>(context.wake, first_wanted_text(options.starting_after));
        auto run =
            std::make_shared<ResponseRun>(context.api.port, std::move(stored->record), reader, options, true);
        context.api.port.attach(id, 0, reader, [post = context.post, id, run, done](Status status) {
            post([id, run, done, status = std::move(status)] {
                if (status) return done(run);
                done(status.error().code == ErrorCode::not_found ? response_not_found(id) : status.error());
            });
        });
    };
    context.api.port.lookup(
        id, [post = context.post, attach = std::move(attach)](Result<GenerationSnapshot> snapshot) {
            post([attach, snapshot = std::move(snapshot)] { attach(snapshot); });
        });
}

}  // namespace troupe::net
