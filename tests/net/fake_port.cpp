#include "tests/net/fake_port.hpp"

#include <chrono>

namespace troupe::net {

constexpr auto kPatience = std::chrono::seconds(5);

std::function<void(FakePort&, const GenerationRequest&)> FakePort::script(std::vector<std::string> texts) {
    return [texts = std::move(texts)](FakePort& port, const GenerationRequest& request) {
        port.start(request.id);
        const std::size_t limit = request.sampling.max_tokens.value_or(1U << 20);
        for (std::size_t i = 0; i < std::min(limit, texts.size()); ++i) port.text(request.id, texts[i]);
        port.finish(request.id, limit < texts.size() ? FinishReason::length : FinishReason::stop);
    };
}

std::string FakePort::submitted(std::size_t n) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return order_.size() > n; }) ? order_[n] : std::string();
}

bool FakePort::wait_for_detach(const std::string& id) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return generations_[id].detached > 0; });
}

FakePort::Generation FakePort::generation(const std::string& id) const {
    const std::lock_guard lock(mutex_);
    const auto found = generations_.find(id);
    return found == generations_.end() ? Generation{} : found->second;
}

void FakePort::deliver(const Generation& generation, const GenerationEvent& event) const {
    if (const auto sink = generation.sink.lock()) sink->deliver(event);
}

void FakePort::start(const std::string& id, std::uint32_t prompt_tokens, Thinking thinking) {
    const std::lock_guard lock(mutex_);
    Generation& one = generations_[id];
    one.started = StartedEvent{prompt_tokens, thinking};
    deliver(one, *one.started);
}

void FakePort::text(const std::string& id, const std::string& text, bool last) {
    const std::lock_guard lock(mutex_);
    Generation& one = generations_[id];
    if (one.finished) return;
    one.texts.push_back(text);
    const auto count = static_cast<std::uint32_t>(one.texts.size());
    deliver(one, TextEvent{count - 1, text, count, last});
}

void FakePort::play(const std::string& id, const GenerationEvent& event) {
    const std::lock_guard lock(mutex_);
    deliver(generations_[id], event);
}

void FakePort::finish(const std::string& id, FinishReason reason, std::optional<Error> error) {
    const std::lock_guard lock(mutex_);
    Generation& one = generations_[id];
    if (one.finished) return;
    FinishedEvent event;
    event.index = one.texts.size();
    event.reason = reason;
    event.usage = {3, 1, static_cast<std::uint32_t>(one.texts.size())};
    event.error = std::move(error);
    one.finished = event;
    deliver(one, event);
    changed_.notify_all();
}

void FakePort::submit(GenerationRequest request, std::weak_ptr<GenerationSink> sink) {
    {
        const std::lock_guard lock(mutex_);
        generations_[request.id] = {request, std::move(sink), {}, {}, {}};
        order_.push_back(request.id);
        changed_.notify_all();
    }
    if (on_submit) on_submit(*this, request);
}

void FakePort::attach(const std::string& id, std::uint64_t tenant, std::uint64_t first,
                      std::weak_ptr<GenerationSink> sink, std::function<void(Status)> done) {
    const std::lock_guard lock(mutex_);
    const auto found = generations_.find(id);
    if (found == generations_.end() || found->second.request.tenant != tenant)
        return done(not_found("no such generation"));
    Generation& one = found->second;
    if (!one.finished) {
        FinishedEvent replaced;
        replaced.reason = FinishReason::failed;
        replaced.error = Error{ErrorCode::cancelled, "another reader has taken over", {}, "reader_replaced"};
        deliver(one, replaced);
    }
    one.sink = std::move(sink);
    done({});
    if (one.started) deliver(one, *one.started);
    for (std::uint64_t i = first; i < one.texts.size(); ++i) {
        deliver(one, TextEvent{i, one.texts[i], static_cast<std::uint32_t>(i + 1)});
    }
    if (one.finished) deliver(one, *one.finished);
}

void FakePort::detach(const std::string& id, std::weak_ptr<GenerationSink> reader) {
    {
        const std::lock_guard lock(mutex_);
        Generation& one = generations_[id];
        if (one.sink.owner_before(reader) || reader.owner_before(one.sink)) return;
        one.sink.reset();
    }
    if (generation(id).request.retention == Retention::none) finish(id, FinishReason::cancelled);
    const std::lock_guard lock(mutex_);
    ++generations_[id].detached;
    changed_.notify_all();
}

GenerationSnapshot FakePort::snapshot(const Generation& one) const {
    GenerationSnapshot result;
    result.id = one.request.id;
    result.record = one.request.record;
    result.status = GenerationStatus::in_progress;
    if (one.started) result.thinking = one.started->thinking;
    OutputTexts& output = result.output;
    for (const std::string& text : one.texts) {
        output.text += text;
        const auto tokens = static_cast<std::uint32_t>(output.marks.size() + 1);
        output.marks.push_back({static_cast<std::uint32_t>(output.text.size()), tokens});
    }
    if (!one.finished) return result;
    result.reason = one.finished->reason;
    result.usage = one.finished->usage;
    result.error = one.finished->error;
    result.status = status_after(one.finished->reason);
    return result;
}

void FakePort::cancel(const std::string& id, std::uint64_t tenant, FinishReason reason,
                      std::function<void(Result<GenerationSnapshot>)> done) {
    const GenerationRequest request = generation(id).request;
    if (!request.id.empty() && request.tenant == tenant) finish(id, reason);
    lookup(id, tenant, std::move(done));
}

void FakePort::lookup(const std::string& id, std::uint64_t tenant,
                      std::function<void(Result<GenerationSnapshot>)> done) {
    const Generation one = generation(id);
    if (one.request.id.empty() || one.request.tenant != tenant) return done(not_found("no such generation"));
    done(snapshot(one));
}

void FakePort::tokenize(const std::string&, const SharedPrompt& prompt,
                        std::function<void(Result<std::vector<TokenId>>)> done) {
    if (!keeps_texts) return done(tokenizer ? tokenizer(*prompt) : std::vector<TokenId>{1, 2, 3});
    const std::lock_guard lock(mutex_);
    text_ = prompt.watch();
    unanswered_.push_back(std::move(done));
}

void FakePort::detokenize(const std::string& model, const std::shared_ptr<const std::vector<TokenId>>& ids,
                          std::function<void(Result<std::string>)> done) {
    std::string text = model == "fake" ? "" : model + ":";
    for (const TokenId id : *ids) text += "<" + std::to_string(id) + ">";
    done(std::move(text));
}

std::vector<ModelCard> FakePort::models() const {
    const ServerState state =
        server_state == ServerState::draining ? ServerState::ready : server_state.load();
    std::vector<ModelCard> cards{{"fake", aliases, "/models/fake.gguf", 1700000000, 2048, state, reads}};
    cards.insert(cards.end(), more_models.begin(), more_models.end());
    return cards;
}

ServerMetrics FakePort::metrics() const {
    MetricsSnapshot snapshot;
    snapshot.gauges["num_requests_running"] = 2;
    snapshot.counters["prompt_tokens_total"] = 42;
    snapshot.request_success["stop"] = 7;
    snapshot.histograms["time_to_first_token_seconds"] = {{0.1, 1}, {3, 2, 1}, 4.5};
    ServerMetrics all{{{"responses_retained", 3}}, {{"fake", snapshot}}};
    for (const ModelCard& card : more_models) all.models[card.id].gauges["num_requests_running"] = 1;
    return all;
}

void FakePort::drain(std::function<void()> done) {
    server_state = ServerState::draining;
    done();
}

}  // namespace troupe::net
