#include "actors/request_actor.hpp"

#include <algorithm>
#include <chrono>

#include "actors/held_bytes.hpp"
#include "model/rope.hpp"

namespace troupe {

namespace {

constexpr TimeUs second = 1000000;
// CAF keeps a dead actor's memory until its last timer has fired: long waits are cut into short ones.
constexpr TimeUs longest_alarm = 10 * second;
// Frontends that may die of others' prompts before this one is given up, and the time to replace one.
constexpr std::uint32_t frontends_to_lose = 5;
constexpr auto frontend_pause = std::chrono::milliseconds(20);
// Of a finished request, besides its state and what that holds: the actor, its timer, the router's entry.
// Measured, see tests/actors/retained_test.cpp.
constexpr std::size_t actor_bytes = 2600;

}  // namespace

void RequestState::start(const GenerationRequest& request, SequenceId sequence, const SinkHandle& sink,
                         std::shared_ptr<const RequestContext> context, const FrontendActor& frontend,
                         const SchedulerActor& scheduler, const RequestOwner& owner) {
    context_ = std::move(context);
    scheduler_ = scheduler;
    owner_ = owner;
    request_ = request;
    sink_ = sink.sink;
    spec_.id = sequence;
    spec_.tenant = request.tenant;
    spec_.priority = request.priority;
    spec_.arrival = now();
    spec_.ttft_target = TimeUs{request.ttft_target_ms.value_or(context_->ttft_target_ms)} * 1000;
    spec_.tpot_target = TimeUs{request.tpot_target_ms.value_or(context_->tpot_target_ms)} * 1000;
    if (request.deadline_ms) {
        spec_.deadline = spec_.arrival + TimeUs{*request.deadline_ms} * 1000;
        deadline_due_ = spec_.deadline;
        arm();
    }
    prepare(frontend);
}

void RequestState::prepare(const FrontendActor& frontend) {
    if (finished_) return;
    self_->request(frontend, caf::infinite, PrepareRequest{request_.prompt.watch(), request_.sampling})
        .then([this](const PreparedRequest& message) { prepared(message); },
              [this](const caf::error& error) {
                  // It threw on this very prompt, or died of another one with this in its queue.
                  bool culprit = error == caf::sec::runtime_error;
                  if (culprit || ++frontends_lost_ > frontends_to_lose) {
                      finish(FinishReason::failed,
                             internal_error("The server failed on this request's prompt."));
                  } else {
                      self_->delayed_send(owner_, frontend_pause, FrontendNeeded{request_.id});
                  }
              });
}

RequestState::~RequestState() {
    if (!context_ || finished_) return;
    deliver(FinishedEvent{
        0, FinishReason::failed, {}, {}, internal_error("The request was ended by the server.")});
}

TimeUs RequestState::now() const { return now_us(self_); }

void RequestState::prepared(const PreparedRequest& message) {
    if (finished_) return;
    if (!message.ok) return finish(FinishReason::failed, message.error);
    request_.prompt = {};  // its tokens are what counts from here on
    spec_.tokens = message.prompt_ids;
    spec_.num_prompt_tokens = static_cast<std::uint32_t>(message.prompt_ids.size());
    spec_.cache_salt = cache_salt();
    spec_.sampling = message.sampling;
    spec_.sampling.choice = request_.choice;
    spec_.stop = message.stop;
    const auto& wish = request_.sampling;
    OutputTextOptions shown{{}, wish.stop, wish.include_stop, wish.skip_special, wish.min_tokens};
    if (!wish.include_stop) {
        shown.hidden = message.stop.stop_token_ids;
        const auto& ends = context_->model->generation.end_token_ids;
        shown.hidden.insert(shown.hidden.end(), ends.begin(), ends.end());
    }
    output_.emplace(context_->model->tokenizer, std::move(shown));
    if (request_.choice == 0) context_->status->metrics.count("prompt_tokens_total", spec_.num_prompt_tokens);
    thinking_ = message.thinking;
    prompt_cut_ = message.cut;
    deliver(StartedEvent{spec_.num_prompt_tokens, thinking_});
    deliver_prompt();
    submit();
}

// Tenants share no prefixes, nor do prompts of which the model's rope makes different KV. The client's own
// salt comes last: whatever is in it, it cannot pretend to be another tenant's.
std::string RequestState::cache_salt() const {
    const auto& ropes = context_->model->spec.ropes;
    std::string salt = std::to_string(spec_.tenant) + ";" + rope_dependence(ropes, spec_.num_prompt_tokens);
    if (!context_->prefix_caching)  // choices of one prompt share it all the same
        salt += ";only " + std::to_string(request_.prompt_group != 0 ? request_.prompt_group : spec_.id);
    return salt + ";" + request_.cache_salt;
}

// Once all that is wanted is known of it. After that no scheduler need compute it again.
void RequestState::deliver_prompt() {
    if (!request_.describe_prompt) return;
    bool complete = prompt_logprobs_.size() + 1 == spec_.num_prompt_tokens;
    if (spec_.sampling.prompt_logprobs >= 0 && !complete) return;
    spec_.sampling.prompt_logprobs = -1;
    const std::vector<TokenId> ids(spec_.tokens.begin(), spec_.tokens.begin() + spec_.num_prompt_tokens);
    auto event =
        describe_prompt(context_->model->tokenizer, ids, prompt_logprobs_, request_.sampling.skip_special);
    event.cut = prompt_cut_;
    deliver(event);
    request_.describe_prompt = false;
    prompt_logprobs_ = {};
}

void RequestState::prompt_logprobs(const PromptLogprobs& message) {
    auto next = prompt_logprobs_.size() + 1;
    if (finished_ || !request_.describe_prompt || message.position > next) return;
    auto known = next - message.position;  // from before a recompute
    for (auto i = known; i < message.entries.size(); ++i) prompt_logprobs_.push_back(message.entries[i]);
    deliver_prompt();
}

void RequestState::submit() { self_->send(scheduler_, spec_, caf::actor_cast<TokenReceiver>(self_)); }

void RequestState::scheduler_up(const SchedulerActor& scheduler) {
    scheduler_ = scheduler;
    if (finished_ || spec_.num_prompt_tokens == 0) return;
    submit();
    if (spec_.deadline != 0 && now() >= spec_.deadline) self_->send(scheduler_, DeadlineDue{spec_.id});
}

void RequestState::tokens(const TokensEmitted& message) {
    if (finished_ || message.position != spec_.tokens.size() - spec_.num_prompt_tokens) return;
    if (first_token_ == 0 && spec_.tokens.size() == spec_.num_prompt_tokens)
        cached_tokens_ = message.cached_tokens;
    // The logits after the prompt were computed with it; nobody asked for a token.
    if (request_.sampling.max_tokens == 0U) return finish(FinishReason::length);
    auto time = now();
    auto& metrics = context_->status->metrics;
    if (first_token_ == 0) {
        first_token_ = time;
        status_ = GenerationStatus::in_progress;
        metrics.observe("time_to_first_token_seconds", seconds(time - spec_.arrival));
    } else {
        metrics.observe("inter_token_latency_seconds", seconds(time - last_token_));
    }
    last_token_ = time;
    for (std::size_t i = 0; i < message.tokens.size(); ++i) {
        bool known = i < message.logprobs.size();
        accept(message.tokens[i], message.epoch, known ? &message.logprobs[i] : nullptr);
        if (finished_) return;
    }
    if (!message.last) deliver_new_events();  // the last text travels with the end
}

void RequestState::accept(TokenId id, Epoch epoch, const PositionLogprobs* logprobs) {
    spec_.tokens.push_back(id);
    context_->status->metrics.count("generation_tokens_total");
    if (!output_->push(id, logprobs)) return;
    self_->send(scheduler_, StopSequence{spec_.id, epoch, output_->num_tokens() - 1});
    finish(FinishReason::stop);
}

void RequestState::ended(const SequenceEnded& message) {
    if (finished_) return;
    if (message.reason == FinishReason::failed) return finish(message.reason, message.error);
    finish(message.reason);
}

void RequestState::finish(FinishReason reason, std::optional<Error> error) {
    FinishedEvent event;
    event.reason = reason;
    event.error = std::move(error);
    if (output_) {
        if (reason != FinishReason::steered) output_->flush();
        event.index = output_->num_events();
        event.usage = {spec_.num_prompt_tokens, cached_tokens_, output_->num_tokens()};
        event.ids.assign(spec_.tokens.begin() + spec_.num_prompt_tokens, spec_.tokens.end());
        event.logprobs = output_->remaining_logprobs();
    }
    status_ = status_after(reason);
    finished_ = std::move(event);
    request_.prompt = {};  // a frontend that still has it in its queue skips it
    observe_end();
    if (output_) deliver_new_events();
    deliver(*finished_);
    // A request refused before it began leaves nothing to come back to.
    bool retain = request_.retention != Retention::none && output_;
    if (!retain) return expire();
    shrink();
    self_->send(owner_, RequestEnded{request_.id, held_bytes()});
    retention_due_ = now() + TimeUs{context_->retention_ms} * 1000;
    arm();
}

// Whoever reads it from now on needs its text and its end; its prompt and how it sampled are history.
void RequestState::shrink() {
    spec_.tokens = std::vector<TokenId>();
    spec_.sampling = SamplingParams();
    spec_.cache_salt = std::string();
    request_.cache_salt = std::string();
    spec_.stop = StopParams();
    request_.sampling = RequestedSampling();
    request_.record.shrink_to_fit();
    prompt_logprobs_ = std::vector<PositionLogprobs>();
    output_->shrink();
}

std::size_t RequestState::held_bytes() const {
    auto bytes = actor_bytes + sizeof(RequestState) + output_->held_bytes();
    bytes += 4 * troupe::held_bytes(request_.id);  // the router knows it by three ways
    bytes += troupe::held_bytes(request_.model) + troupe::held_bytes(request_.record);
    bytes += troupe::held_bytes(finished_->ids) + troupe::held_bytes(finished_->logprobs);
    for (const auto& one : finished_->logprobs) {
        bytes += troupe::held_bytes(one.token.bytes) + troupe::held_bytes(one.top);
        for (const auto& other : one.top) bytes += troupe::held_bytes(other.bytes);
    }
    if (finished_->error) bytes += troupe::held_bytes(finished_->error->message);
    return bytes;
}

void RequestState::observe_end() {
    auto& metrics = context_->status->metrics;
    metrics.finished(finish_reason_name(finished_->reason));
    if (finished_->reason == FinishReason::failed) return;
    metrics.observe("e2e_request_latency_seconds", seconds(now() - spec_.arrival));
    if (first_token_ != 0)
        metrics.observe("request_decode_time_seconds", seconds(last_token_ - first_token_));
}

void RequestState::expire() {
    self_->send(owner_, RequestExpired{request_.id});
    self_->quit();
}

void RequestState::deliver_new_events() {
    while (reading_ && delivered_ < output_->num_events()) {
        auto event = output_->event(delivered_++);
        event.last = finished_ && delivered_ == output_->num_events();
        deliver(event);
    }
}

void RequestState::deliver(const GenerationEvent& event) {
    if (!reading_) return;
    if (auto sink = sink_.lock()) {
        sink->deliver(event);
    } else {
        reader_gone();
    }
}

void RequestState::attach(const AttachReader& message, const SinkHandle& sink, const StatusReply& reply) {
    reply.done({});
    if (!finished_) {
        deliver(FinishedEvent{
            delivered_,
            FinishReason::failed,
            {},
            {},
            Error{
                ErrorCode::cancelled, "Another connection reads this response now.", {}, "reader_replaced"}});
    }
    sink_ = sink.sink;
    reading_ = true;
    delivered_ = message.first;
    grace_due_ = 0;
    if (!output_) return;
    deliver(StartedEvent{spec_.num_prompt_tokens, thinking_});
    deliver_new_events();
    if (finished_) deliver(*finished_);
}

void RequestState::detach(const SinkHandle& handle) {
    bool same = !sink_.owner_before(handle.sink) && !handle.sink.owner_before(sink_);
    if (same) reader_gone();
}

void RequestState::reader_gone() {
    if (!reading_) return;
    reading_ = false;
    sink_.reset();
    if (finished_) return;
    if (request_.retention == Retention::none) {
        cancel({}, {});
    } else if (request_.retention == Retention::stored) {
        grace_due_ = now() + TimeUs{context_->resume_grace_ms} * 1000;
        arm();
    }
}

void RequestState::arm() {
    TimeUs due = 0;
    for (auto time : {deadline_due_, grace_due_, retention_due_}) {
        if (time != 0 && (due == 0 || time < due)) due = time;
    }
    if (due == 0) return;
    auto at = std::clamp(due, now(), now() + longest_alarm);
    if (alarm_at_ != 0 && alarm_at_ <= at) return;
    alarm_at_ = at;
    self_->delayed_send(self_, std::chrono::microseconds(at - now()), Alarm{});
}

void RequestState::alarm() {
    alarm_at_ = 0;
    auto is_due = [time = now()](TimeUs& due) {
        if (due == 0 || due > time) return false;
        due = 0;
        return true;
    };
    if (is_due(deadline_due_)) deadline_passed();
    if (is_due(grace_due_) && !reading_ && !finished_) cancel({}, {});
    if (is_due(retention_due_)) return expire();
    arm();
}

void RequestState::abort(const Error& error) {
    if (!finished_) finish(FinishReason::failed, error);
}

void RequestState::deadline_passed() {
    if (finished_) return;
    if (spec_.num_prompt_tokens != 0) return self_->send(scheduler_, DeadlineDue{spec_.id});
    finish(FinishReason::failed,
           Error{ErrorCode::timed_out, "The deadline passed before the prompt was read.", "deadline_ms",
                 "deadline_exceeded"});
}

void RequestState::cancel(const CancelRequest& message, const SnapshotReply& reply) {
    if (!finished_) {
        self_->send(scheduler_, CancelSequence{spec_.id});
        finish(message.reason);
    }
    reply.done(snapshot());
}

void RequestState::lookup(const SnapshotReply& reply) const { reply.done(snapshot()); }

GenerationSnapshot RequestState::snapshot() const {
    GenerationSnapshot result;
    result.id = request_.id;
    result.record = request_.record;
    result.status = status_;
    result.thinking = thinking_;
    if (output_) {
        result.output = output_->texts();
        result.usage = {spec_.num_prompt_tokens, cached_tokens_, output_->num_tokens()};
    }
    if (finished_) {
        result.reason = finished_->reason;
        result.error = finished_->error;
    }
    return result;
}

RequestActor::behavior_type request_actor(RequestActor::stateful_pointer<RequestState> self,
                                          const GenerationRequest& request, SequenceId sequence,
                                          const SinkHandle& sink,
                                          std::shared_ptr<const RequestContext> context,
                                          const FrontendActor& frontend, const SchedulerActor& scheduler,
                                          const RequestOwner& owner) {
    exit_with_exceptions(self);
    auto& state = self->state;
    state.start(request, sequence, sink, std::move(context), frontend, scheduler, owner);
    return {
        [&state](const TokensEmitted& m) { state.tokens(m); },
        [&state](const PromptLogprobs& m) { state.prompt_logprobs(m); },
        [&state](const SequenceEnded& m) { state.ended(m); },
        [](const SequencePreempted&) {},  // a pause; nothing to do until tokens come again
        [&state](const SchedulerUp&, const SchedulerActor& scheduler_actor) {
            state.scheduler_up(scheduler_actor);
        },
        [&state](const AttachReader& m, const SinkHandle& s, const StatusReply& r) { state.attach(m, s, r); },
        [&state](const DetachReader&, const SinkHandle& s) { state.detach(s); },
        [&state](const CancelRequest& m, const SnapshotReply& r) { state.cancel(m, r); },
        [&state](const LookupRequest&, const SnapshotReply& r) { state.lookup(r); },
        [&state](const AbortRequests& m) { state.abort(m.error); },
        [&state](const FrontendUp&, const FrontendActor& other) { state.prepare(other); },
        [&state](const Alarm&) { state.alarm(); },
    };
}

}  // namespace troupe
