// A ClientPort without a model: generations are played by the test, or by a script as soon as they are
// submitted.
#pragma once
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>

#include "actors/client_port.hpp"

namespace troupe::net {

class FakePort final : public ClientPort {
  public:
    struct Generation {
        GenerationRequest request;
        std::weak_ptr<GenerationSink> sink;
        std::vector<std::string> texts;
        std::optional<StartedEvent> started;
        std::optional<FinishedEvent> finished;
        int detached = 0;
    };

    // What happens on submit, on the caller's thread; nothing: the test plays.
    std::function<void(FakePort&, const GenerationRequest&)> on_submit;
    std::function<Result<std::vector<TokenId>>(const Prompt&)> tokenizer;
    std::atomic<ServerState> server_state{ServerState::ready};
    std::vector<ModelCard> more_models;    // served beside "fake", each in its card's state
    TemplateReads reads;                   // by "fake"
    std::vector<std::string> aliases;      // of "fake"
    std::atomic<bool> keeps_texts{false};  // /tokenize is not answered; what it was to read:
    std::weak_ptr<const Prompt> text() const {
        const std::lock_guard lock(mutex_);
        return text_;
    }

    // Plays a whole generation: started, the texts (at most max_tokens of them), finished.
    static std::function<void(FakePort&, const GenerationRequest&)> script(std::vector<std::string> texts);

    // Of the n-th submitted one, from 0; waits up to five seconds for it. Empty if it does not come.
    std::string submitted(std::size_t n);
    std::size_t submitted_count() const {
        const std::lock_guard lock(mutex_);
        return order_.size();
    }
    void forget_prompt(const std::string& id) {  // as when it has been tokenized
        const std::lock_guard lock(mutex_);
        generations_.at(id).request.prompt = {};
    }
    bool wait_for_detach(const std::string& id);

    void start(const std::string& id, std::uint32_t prompt_tokens = 3, Thinking thinking = Thinking::none);
    void text(const std::string& id, const std::string& text, bool last = false);
    void finish(const std::string& id, FinishReason reason, std::optional<Error> error = {});
    void play(const std::string& id, const GenerationEvent& event);  // as it is, and not remembered

    Generation generation(const std::string& id) const;  // a copy
    bool is_finished(const std::string& id) const { return generation(id).finished.has_value(); }

    void submit(GenerationRequest request, std::weak_ptr<GenerationSink> sink) override;
    void attach(const std::string& id, std::uint64_t tenant, std::uint64_t first,
                std::weak_ptr<GenerationSink> sink, std::function<void(Status)> done) override;
    void detach(const std::string& id, std::weak_ptr<GenerationSink> reader) override;
    void cancel(const std::string& id, std::uint64_t tenant, FinishReason reason,
                std::function<void(Result<GenerationSnapshot>)> done) override;
    void lookup(const std::string& id, std::uint64_t tenant,
                std::function<void(Result<GenerationSnapshot>)> done) override;
    void tokenize(const std::string& model, const SharedPrompt& prompt,
                  std::function<void(Result<std::vector<TokenId>>)> done) override;
    void detokenize(const std::string& model, const std::shared_ptr<const std::vector<TokenId>>& ids,
                    std::function<void(Result<std::string>)> done) override;
    ServerState state() const override { return server_state; }
    std::vector<ModelCard> models() const override;
    ServerMetrics metrics() const override;
    void drain(std::function<void()> done) override;
    void replace_policy(PolicyRequest request, std::function<void(Status)> done) override {
        const bool known = request.name == "sjf";
        policy = std::move(request);
        done(known ? Status() : invalid_argument("There is no such policy.", "policy"));
    }
    void abort(Error) override {}

    PolicyRequest policy;  // the last one asked for

  private:
    void deliver(const Generation& generation, const GenerationEvent& event) const;
    GenerationSnapshot snapshot(const Generation& generation) const;

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::map<std::string, Generation> generations_;
    std::vector<std::string> order_;
    std::weak_ptr<const Prompt> text_;
    std::vector<std::function<void(Result<std::vector<TokenId>>)>> unanswered_;
};

}  // namespace troupe::net
