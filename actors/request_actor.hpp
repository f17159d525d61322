// The truth about one request, and the unit of recovery (design, law 2): its prompt, what was generated, how
// it samples, what its reader has been sent. Workers, KV and the scheduler's picture of it can be lost and
// are rebuilt from here. Lives in the process that holds the client's socket, until its result is no longer
// retained.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "actors/messages.hpp"
#include "actors/output_text.hpp"
#include "actors/shared_status.hpp"
#include "model/loader.hpp"

namespace troupe {

// Shared by all requests of a process.
struct RequestContext {
    std::shared_ptr<const LoadedModel> model;
    std::shared_ptr<SharedStatus> status;
    std::uint32_t resume_grace_ms = 30000;
    std::uint32_t retention_ms = 600000;
    bool prefix_caching = true;                            // requests share prefixes
    std::uint32_t ttft_target_ms = 0, tpot_target_ms = 0;  // of requests that name none; 0: no target
};

struct RequestState {
    explicit RequestState(RequestActor::pointer self) : self_(self) {}
    ~RequestState();  // an actor that dies tells its reader

    void start(const GenerationRequest& request, SequenceId sequence, const SinkHandle& sink,
               std::shared_ptr<const RequestContext> context, const FrontendActor& frontend,
               const SchedulerActor& scheduler, const RequestOwner& owner);
    void tokens(const TokensEmitted& message);
    void prompt_logprobs(const PromptLogprobs& message);
    void ended(const SequenceEnded& message);
    void scheduler_up(const SchedulerActor& scheduler);
    void attach(const AttachReader& message, const SinkHandle& sink, const StatusReply& reply);
    void detach(const SinkHandle& sink);
    void cancel(const CancelRequest& message, const SnapshotReply& reply);
    void lookup(const SnapshotReply& reply) const;
    void abort(const Error& error);
    void prepare(const FrontendActor& frontend);
    void alarm();

    static inline const char* name = "request";

  private:
    void prepared(const PreparedRequest& message);
    std::string cache_salt() const;
    void submit();
    void accept(TokenId id, Epoch epoch, const PositionLogprobs* logprobs);
    void deliver_prompt();
    void finish(FinishReason reason, std::optional<Error> error = std::nullopt);
    void deliver_new_events();
    void deliver(const GenerationEvent& event);
    void reader_gone();
    void deadline_passed();
    void expire();
    void arm();
    void observe_end();
    void shrink();
    std::size_t held_bytes() const;
    GenerationSnapshot snapshot() const;
    TimeUs now() const;

    RequestActor::pointer self_;
    std::shared_ptr<const RequestContext> context_;
    SchedulerActor scheduler_;
    RequestOwner owner_;

    // What cannot be rebuilt.
    GenerationRequest request_;
    SequenceSpec spec_;  // tokens: prompt and generated; num_prompt_tokens 0: not prepared yet
    std::vector<PositionLogprobs> prompt_logprobs_;  // of its tokens from the second on, as far as they came
    bool prompt_cut_ = false;
    std::optional<OutputText> output_;
    GenerationStatus status_ = GenerationStatus::queued;
    Thinking thinking_ = Thinking::none;
    std::optional<FinishedEvent> finished_;

    // The reader.
    std::weak_ptr<GenerationSink> sink_;
    bool reading_ = true;
    std::uint64_t delivered_ = 0;  // texts sent to this reader, counted from the first of the log

    // When something is due, 0: not at all. One alarm looks after all of them.
    TimeUs deadline_due_ = 0, grace_due_ = 0, retention_due_ = 0;
    TimeUs alarm_at_ = 0;  // 0: none is set

    std::uint32_t cached_tokens_ = 0;          // of the prompt, when it began to be computed
    std::uint32_t frontends_lost_ = 0;         // that had this prompt to prepare
    TimeUs first_token_ = 0, last_token_ = 0;  // for the metrics
};

RequestActor::behavior_type request_actor(RequestActor::stateful_pointer<RequestState> self,
                                          const GenerationRequest& request, SequenceId sequence,
                                          const SinkHandle& sink,
                                          std::shared_ptr<const RequestContext> context,
                                          const FrontendActor& frontend, const SchedulerActor& scheduler,
                                          const RequestOwner& owner);

}  // namespace troupe
