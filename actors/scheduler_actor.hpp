// The shell around the Scheduler machine of one replica: turns messages into events with the time of day, and
// actions into messages. Decides nothing.
#pragma once
#include <map>
#include <memory>
#include <optional>

#include "actors/messages.hpp"
#include "actors/shared_status.hpp"
#include "engine/scheduler.hpp"

namespace troupe {

struct SchedulerShell {
    explicit SchedulerShell(SchedulerActor::pointer self) : self_(self) {}

    void start(const SchedulerOptions& options, const PolicyChoice& policy,
               std::shared_ptr<SharedStatus> status, LossReceiver supervisor);
    void submit(const SequenceSpec& spec, const TokenReceiver& receiver);
    void worker_up(Epoch epoch, const WorkerActor& worker, const MemoryManagerActor& memory_manager);
    void worker_down(Epoch epoch);
    void replace_policy(const ReplacePolicy& message);
    void step_done(const StepResult& result);
    void receiver_down(const caf::actor_addr& source);
    void handle(const Event& event);
    TimeUs now() const;

    static inline const char* name = "scheduler";

  private:
    // A live sequence: who gets its tokens, and when it began, for the metrics.
    struct Live {
        TokenReceiver receiver;
        TimeUs arrival = 0;
        TimeUs started = 0;               // first time in a plan; 0: not yet
        std::uint32_t cached_tokens = 0;  // of its prompt, when it began
        bool emitted = false;
        bool ending = false;  // among the actions being carried out is its Finish
    };

    void carry_out(Execute& action);
    void carry_out(EmitToken& action);
    void carry_out(EmitPromptLogprobs& action);
    void carry_out(Finish& action);
    void carry_out(Reject& action);
    void carry_out(Preempted& action);
    void carry_out(Move& action);
    void end(SequenceId id, FinishReason reason, std::uint32_t num_generated, Error error);
    void forget(SequenceId id);
    void publish();
    void publish_swap(const SwapStats& stats);

    SchedulerActor::pointer self_;
    std::shared_ptr<SharedStatus> status_;
    LossReceiver supervisor_;
    WorkerActor worker_;
    MemoryManagerActor memory_manager_;
    std::unique_ptr<PolicySlot> policy_;
    bool rejection_logged_ = false;                  // of the policy that is in force
    std::unique_ptr<RecordedPort> recorded_policy_;  // null: nothing is recorded
    std::uint32_t recorded_as_ = 0;
    std::unique_ptr<Scheduler> machine_;
    std::map<SequenceId, Live> live_;
    std::map<caf::actor_addr, SequenceId> sequences_;  // by receiver
    SchedulerStats published_;
    bool request_to_blame_ = false;  // for the worker's loss being handled
};

// Detached: a step's plan must not wait for anybody's turn in the shared pool.
SchedulerActor::behavior_type scheduler(SchedulerActor::stateful_pointer<SchedulerShell> self,
                                        SchedulerOptions options, PolicyChoice policy,
                                        std::shared_ptr<SharedStatus> status, LossReceiver supervisor);

}  // namespace troupe
