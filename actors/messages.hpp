// Who sends what to whom. The typed handles at the end make the compiler check this table: an actor accepts
// exactly what stands here, and nobody can send anything else.
//
// clang-format off
// | Message                           | From              | To              | Nodes | Meaning                                      |
// |-----------------------------------|-------------------|-----------------|-------|----------------------------------------------|
// | GenerationRequest, SinkHandle     | client port       | router          | no    | start a generation                           |
// | AttachReader, SinkHandle, StatusReply | port, router  | router, request | no    | read a generation from some text on          |
// | DetachReader, SinkHandle          | port, router      | router, request | no    | the reader went away                         |
// | CancelRequest, SnapshotReply      | port, router      | router, request | no    | end it as cancelled or steered               |
// | LookupRequest, SnapshotReply      | port, router      | router, request | no    | its state now                                |
// | AbortRequests                     | port, router      | router, request | no    | fail what lives: there will be no worker     |
// | TokenizeText, IdsReply            | port, router      | router, frontend| no    | /tokenize                                    |
// | DetokenizeIds, TextReply          | port, router      | router, frontend| no    | /detokenize                                  |
// | Drain, DoneReply                  | client port       | router          | no    | refuse new requests, say when the last ended |
// | PrepareRequest -> PreparedRequest | request           | frontend        | no    | template, tokens, defaults, length check     |
// | FrontendNeeded                    | request           | router          | no    | mine died with my prompt in its queue        |
// | SequenceSpec, TokenReceiver       | request           | scheduler       | yes   | run this sequence, or go on with it          |
// | CancelSequence                    | request           | scheduler       | yes   | forget it                                    |
// | StopSequence                      | request           | scheduler       | yes   | a stop string completed at this position     |
// | DeadlineDue                       | request           | scheduler       | yes   | its deadline passed                          |
// | TokensEmitted                     | scheduler         | request         | yes   | the next tokens                              |
// | PromptLogprobs                    | scheduler         | request         | yes   | of some of its prompt's tokens               |
// | SequenceEnded                     | scheduler         | request         | yes   | no more tokens, and why                      |
// | SequencePreempted                 | scheduler         | request         | yes   | a pause: its KV was given up                 |
// | RequestEnded                      | request           | router          | no    | its place is free, its result is retained    |
// | RequestExpired                    | request           | router          | no    | its name is free                             |
// | StepPlan                          | scheduler         | worker          | yes   | execute                                      |
// | StepResult                        | worker            | scheduler       | yes   | executed: the sampled tokens                 |
// | CreatePool                        | supervisor        | memory manager  | yes   | make an empty KV pool for this epoch         |
// | PoolReady, PoolHandle             | memory manager    | supervisor      | no    | here it is                                   |
// | WorkerStarted                     | worker            | supervisor      | yes   | the backend is up; its numerics              |
// | MoveBlocks                        | scheduler         | memory manager  | yes   | copy blocks between the tiers                |
// | MoveDone                          | memory manager    | scheduler       | yes   | how many of them are copied                  |
// | DiskTransfer, PageHandle -> DiskTransferred | memory manager | disk     | no    | write or read a page of the swap file        |
// | WorkerUp, WorkerActor, MemoryManagerActor | supervisor | scheduler      | yes   | plan for this worker, move with this manager |
// | ReplacePolicy                     | port, supervisor  | supervisor, scheduler | no | decide with this one from now on          |
// | WorkerDown                        | supervisor        | scheduler       | yes   | this epoch is over                           |
// | LossHandled                       | scheduler         | supervisor      | yes   | and whether a request is to blame            |
// | ReplicaFailed                     | supervisor        | router          | yes   | its model will have no worker any more       |
// | SchedulerUp, SchedulerActor       | supervisor, router| router, request | yes   | submit (again) here                          |
// | FrontendUp, FrontendActor         | supervisor, router| router, request | no    | a frontend (re)started; take this one        |
// | StartReplica                      | self              | supervisor      | no    | the back-off is over                         |
// | NextText                          | self              | frontend        | no    | the next of those that wait                  |
// | Alarm                             | self              | request         | no    | a deadline, grace or retention may be over   |
//
// "Nodes": may cross nodes. What does not, may carry handles into this process (sinks, callbacks, pools).
// clang-format on
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "actors/caf_layer.hpp"
#include "actors/client_port.hpp"
#include "actors/inspect_core.hpp"
#include "core/block_move.hpp"
#include "core/sequence.hpp"
#include "core/step_plan.hpp"
#include "model/backend.hpp"
#include "policies/loader/make_policy.hpp"

namespace troupe {

// ---- client port -> router -> request

struct AttachReader {
    std::string id;
    std::uint64_t first = 0;   // index of the first text wanted
    std::uint64_t tenant = 0;  // who asks; the router finds nothing of another one's
    bool operator==(const AttachReader&) const = default;
};
struct DetachReader {
    std::string id;
    bool operator==(const DetachReader&) const = default;
};
struct CancelRequest {
    std::string id;
    std::uint64_t tenant = 0;
    FinishReason reason = FinishReason::cancelled;
    bool operator==(const CancelRequest&) const = default;
};
struct LookupRequest {
    std::string id;
    std::uint64_t tenant = 0;
    bool operator==(const LookupRequest&) const = default;
};
struct AbortRequests {
    Error error;
    bool operator==(const AbortRequests&) const = default;
};
// Skipped if what they are to convert has gone by then: nobody waits for it.
struct TokenizeText {
    std::string model;
    std::weak_ptr<const Prompt> prompt;
};
struct DetokenizeIds {
    std::string model;
    std::weak_ptr<const std::vector<TokenId>> ids;
};
struct Drain {
    bool operator==(const Drain&) const = default;
};

// ---- request <-> frontend

// The prompt is the request's own: one that ended while this waited is not prepared any more.
struct PrepareRequest {
    std::weak_ptr<const Prompt> prompt;
    RequestedSampling sampling;
};
// Everything resolved: defaults of the model filled in, the seed drawn, the length checked.
struct PreparedRequest {
    bool ok = false;
    Error error;  // if not ok
    std::vector<TokenId> prompt_ids;
    SamplingParams sampling;
    StopParams stop;
    Thinking thinking = Thinking::none;
    bool cut = false;  // truncate_prompt_tokens left the beginning of the prompt out
    bool operator==(const PreparedRequest&) const = default;
};

// ---- request <-> scheduler. Positions count a sequence's generated tokens from 0, across resubmissions.

struct CancelSequence {
    SequenceId id = 0;
    bool operator==(const CancelSequence&) const = default;
};
struct StopSequence {
    SequenceId id = 0;
    Epoch epoch = 0;
    std::uint32_t position = 0;  // of the token that completed the stop string
    bool operator==(const StopSequence&) const = default;
};
struct DeadlineDue {
    SequenceId id = 0;
    bool operator==(const DeadlineDue&) const = default;
};
struct TokensEmitted {
    SequenceId id = 0;
    Epoch epoch = 0;
    std::uint32_t position = 0;  // of tokens[0]; the request actor accepts only its own count
    std::vector<TokenId> tokens;
    bool last = false;                            // SequenceEnded follows at once
    std::vector<PositionLogprobs> logprobs = {};  // of each, if wanted
    std::uint32_t cached_tokens = 0;              // of the prompt: that were cached when the sequence began
    bool operator==(const TokensEmitted&) const = default;
};
struct SequenceEnded {
    SequenceId id = 0;
    FinishReason reason = FinishReason::stop;
    std::uint32_t num_generated = 0;
    Error error;  // with reason failed
    bool operator==(const SequenceEnded&) const = default;
};
struct SequencePreempted {
    SequenceId id = 0;
    bool operator==(const SequencePreempted&) const = default;
};

// ---- request -> router

struct RequestEnded {
    std::string id;
    std::uint64_t retained_bytes = 0;  // what its result holds until it expires
    bool operator==(const RequestEnded&) const = default;
};
struct FrontendNeeded {
    std::string id;
    bool operator==(const FrontendNeeded&) const = default;
};
struct RequestExpired {
    std::string id;
    bool operator==(const RequestExpired&) const = default;
};

// ---- supervision

struct CreatePool {
    Epoch epoch = 0;
    bool operator==(const CreatePool&) const = default;
};
struct PoolReady {
    Epoch epoch = 0;
    bool operator==(const PoolReady&) const = default;
};
struct WorkerStarted {
    Epoch epoch = 0;
    std::string numerics;  // Backend::numerics()
    bool operator==(const WorkerStarted&) const = default;
};
struct WorkerUp {
    Epoch epoch = 0;
    bool operator==(const WorkerUp&) const = default;
};
struct WorkerDown {
    Epoch epoch = 0;
    bool operator==(const WorkerDown&) const = default;
};
struct LossHandled {
    Epoch epoch = 0;
    bool request_to_blame = false;  // one was in its third death without a token, and has failed
    // The most deaths that a request was in since its last token: perhaps they are its fault.
    std::uint32_t suspect_deaths = 0;
    bool operator==(const LossHandled&) const = default;
};
struct ReplicaFailed {
    std::string model;
    std::string why;
    bool operator==(const ReplicaFailed&) const = default;
};
struct SchedulerUp {
    std::string model;
    bool operator==(const SchedulerUp&) const = default;
};
struct FrontendUp {
    std::string model;
    std::uint32_t index = 0;
    bool operator==(const FrontendUp&) const = default;
};

// ---- memory manager -> disk

struct DiskTransfer {
    std::int64_t page = 0;
    bool write = false;  // otherwise read
    bool operator==(const DiskTransfer&) const = default;
};
struct DiskTransferred {
    bool ok = false;
    Error error;  // if not ok
    bool operator==(const DiskTransferred&) const = default;
};

// ---- timers

struct StartReplica {
    std::uint64_t generation = 0;
    bool operator==(const StartReplica&) const = default;
};
struct NextText {
    bool operator==(const NextText&) const = default;
};
struct Alarm {
    bool operator==(const Alarm&) const = default;
};

// ---- payloads that stay in this process

struct SinkHandle {
    std::weak_ptr<GenerationSink> sink;
};
// A callback of the port that is called exactly once: with an answer, or with an error when the message that
// carries it is lost together with the actor it was for.
template <class T>
class Reply {
  public:
    Reply() = default;  // nobody asked
    Reply(std::function<void(T)> done) : state_(std::make_shared<State>(std::move(done))) {}

    void done(T value) const {
        if (state_ && !state_->answered.exchange(true)) state_->done(std::move(value));
    }

  private:
    struct State {
        explicit State(std::function<void(T)> callback) : done(std::move(callback)) {}
        ~State() {
            if (!answered)
                done(Error(not_found("It ended or expired just now; nothing is retained of it.", "id")));
        }
        std::function<void(T)> done;
        std::atomic<bool> answered{false};
    };
    std::shared_ptr<State> state_;
};

using StatusReply = Reply<Status>;
using SnapshotReply = Reply<Result<GenerationSnapshot>>;
using IdsReply = Reply<Result<std::vector<TokenId>>>;
using TextReply = Reply<Result<std::string>>;
struct DoneReply {
    std::function<void()> done;
};
// The policy, started; and how to start it again, if the scheduler has to be.
struct ReplacePolicy {
    PolicyChoice choice;
    std::shared_ptr<PolicyPort> policy;
};
struct PoolHandle {
    std::shared_ptr<KvPool> pool;
};
struct PageHandle {
    std::shared_ptr<std::vector<std::byte>> bytes;
};

// ---- inspectors

// clang-format off
template <class I> typename I::result_type inspect(I& f, AttachReader& x) { return f(caf::meta::type_name("AttachReader"), x.id, x.first, x.tenant); }
template <class I> typename I::result_type inspect(I& f, DetachReader& x) { return f(caf::meta::type_name("DetachReader"), x.id); }
template <class I> typename I::result_type inspect(I& f, CancelRequest& x) { auto reason = wire::enumerated(x.reason, FinishReason::failed); return f(caf::meta::type_name("CancelRequest"), x.id, x.tenant, reason); }
template <class I> typename I::result_type inspect(I& f, LookupRequest& x) { return f(caf::meta::type_name("LookupRequest"), x.id, x.tenant); }
template <class I> typename I::result_type inspect(I& f, Drain&) { return f(caf::meta::type_name("Drain")); }
template <class I> typename I::result_type inspect(I& f, PreparedRequest& x) { auto ids = wire::run(x.prompt_ids); auto thinking = wire::enumerated(x.thinking, Thinking::inside); return f(caf::meta::type_name("PreparedRequest"), x.ok, x.error, ids, x.sampling, x.stop, thinking, x.cut); }
template <class I> typename I::result_type inspect(I& f, CancelSequence& x) { return f(caf::meta::type_name("CancelSequence"), x.id); }
template <class I> typename I::result_type inspect(I& f, StopSequence& x) { return f(caf::meta::type_name("StopSequence"), x.id, x.epoch, x.position); }
template <class I> typename I::result_type inspect(I& f, DeadlineDue& x) { return f(caf::meta::type_name("DeadlineDue"), x.id); }
template <class I> typename I::result_type inspect(I& f, TokensEmitted& x) { auto ids = wire::run(x.tokens); return f(caf::meta::type_name("TokensEmitted"), x.id, x.epoch, x.position, ids, x.last, x.logprobs, x.cached_tokens); }
template <class I> typename I::result_type inspect(I& f, SequenceEnded& x) { auto reason = wire::enumerated(x.reason, FinishReason::failed); return f(caf::meta::type_name("SequenceEnded"), x.id, reason, x.num_generated, x.error); }
template <class I> typename I::result_type inspect(I& f, SequencePreempted& x) { return f(caf::meta::type_name("SequencePreempted"), x.id); }
template <class I> typename I::result_type inspect(I& f, RequestEnded& x) { return f(caf::meta::type_name("RequestEnded"), x.id, x.retained_bytes); }
template <class I> typename I::result_type inspect(I& f, RequestExpired& x) { return f(caf::meta::type_name("RequestExpired"), x.id); }
template <class I> typename I::result_type inspect(I& f, CreatePool& x) { return f(caf::meta::type_name("CreatePool"), x.epoch); }
template <class I> typename I::result_type inspect(I& f, PoolReady& x) { return f(caf::meta::type_name("PoolReady"), x.epoch); }
template <class I> typename I::result_type inspect(I& f, WorkerStarted& x) { return f(caf::meta::type_name("WorkerStarted"), x.epoch, x.numerics); }
template <class I> typename I::result_type inspect(I& f, WorkerUp& x) { return f(caf::meta::type_name("WorkerUp"), x.epoch); }
template <class I> typename I::result_type inspect(I& f, WorkerDown& x) { return f(caf::meta::type_name("WorkerDown"), x.epoch); }
template <class I> typename I::result_type inspect(I& f, LossHandled& x) { return f(caf::meta::type_name("LossHandled"), x.epoch, x.request_to_blame, x.suspect_deaths); }
template <class I> typename I::result_type inspect(I& f, AbortRequests& x) { return f(caf::meta::type_name("AbortRequests"), x.error); }
template <class I> typename I::result_type inspect(I& f, FrontendNeeded& x) { return f(caf::meta::type_name("FrontendNeeded"), x.id); }
template <class I> typename I::result_type inspect(I& f, NextText&) { return f(caf::meta::type_name("NextText")); }
template <class I> typename I::result_type inspect(I& f, Alarm&) { return f(caf::meta::type_name("Alarm")); }
template <class I> typename I::result_type inspect(I& f, ReplicaFailed& x) { return f(caf::meta::type_name("ReplicaFailed"), x.model, x.why); }
template <class I> typename I::result_type inspect(I& f, DiskTransfer& x) { return f(caf::meta::type_name("DiskTransfer"), x.page, x.write); }
template <class I> typename I::result_type inspect(I& f, DiskTransferred& x) { return f(caf::meta::type_name("DiskTransferred"), x.ok, x.error); }
template <class I> typename I::result_type inspect(I& f, SchedulerUp& x) { return f(caf::meta::type_name("SchedulerUp"), x.model); }
template <class I> typename I::result_type inspect(I& f, FrontendUp& x) { return f(caf::meta::type_name("FrontendUp"), x.model, x.index); }
template <class I> typename I::result_type inspect(I& f, StartReplica& x) { return f(caf::meta::type_name("StartReplica"), x.generation); }
// clang-format on

// ---- the actors' interfaces. Small ones first: they say what a peer needs to know of an actor.

template <class... Messages>
using On = caf::reacts_to<Messages...>;

using TokenReceiver =
    caf::typed_actor<On<TokensEmitted>, On<PromptLogprobs>, On<SequenceEnded>, On<SequencePreempted>>;
using WorkerActor = caf::typed_actor<On<StepPlan>>;
using WorkerOwner = caf::typed_actor<On<WorkerStarted>>;
using StepReceiver = caf::typed_actor<On<StepResult>>;
using PoolOwner = caf::typed_actor<On<PoolReady, PoolHandle>>;
using RequestOwner = caf::typed_actor<On<RequestEnded>, On<RequestExpired>, On<FrontendNeeded>>;
using LossReceiver = caf::typed_actor<On<LossHandled>>;
using MoveReceiver = caf::typed_actor<On<MoveDone>>;

using DiskActor = caf::typed_actor<caf::replies_to<DiskTransfer, PageHandle>::with<DiskTransferred>>;
using MemoryManagerActor = caf::typed_actor<On<CreatePool>, On<MoveBlocks>>;
using SchedulerActor =
    StepReceiver::extend<On<SequenceSpec, TokenReceiver>, On<CancelSequence>, On<StopSequence>,
                         On<DeadlineDue>, On<WorkerUp, WorkerActor, MemoryManagerActor>, On<WorkerDown>,
                         On<ReplacePolicy>, On<MoveDone>>;
using FrontendActor = caf::typed_actor<caf::replies_to<PrepareRequest>::with<PreparedRequest>,
                                       On<TokenizeText, IdsReply>, On<DetokenizeIds, TextReply>>;
using QueueingFrontend = FrontendActor::extend<On<NextText>>;
using RequestActor =
    TokenReceiver::extend<On<SchedulerUp, SchedulerActor>, On<AttachReader, SinkHandle, StatusReply>,
                          On<DetachReader, SinkHandle>, On<CancelRequest, SnapshotReply>,
                          On<LookupRequest, SnapshotReply>, On<AbortRequests>, On<FrontendUp, FrontendActor>,
                          On<Alarm>>;
using RouterActor =
    RequestOwner::extend<On<GenerationRequest, SinkHandle>, On<AttachReader, SinkHandle, StatusReply>,
                         On<DetachReader, SinkHandle>, On<CancelRequest, SnapshotReply>,
                         On<LookupRequest, SnapshotReply>, On<TokenizeText, IdsReply>,
                         On<DetokenizeIds, TextReply>, On<Drain, DoneReply>, On<AbortRequests>,
                         On<SchedulerUp, SchedulerActor>, On<FrontendUp, FrontendActor>, On<ReplicaFailed>>;
using SupervisorActor = caf::typed_actor<On<PoolReady, PoolHandle>, On<WorkerStarted>, On<LossHandled>,
                                         On<StartReplica>, On<ReplacePolicy>>;

}  // namespace troupe

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::PrepareRequest)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::TokenizeText)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::DetokenizeIds)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::SinkHandle)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::StatusReply)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::SnapshotReply)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::IdsReply)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::TextReply)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::DoneReply)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::PoolHandle)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::ReplacePolicy)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::PageHandle)

CAF_BEGIN_TYPE_ID_BLOCK(troupe, caf::first_custom_type_id)
CAF_ADD_TYPE_ID(troupe, (troupe::GenerationRequest))
CAF_ADD_TYPE_ID(troupe, (troupe::AttachReader))
CAF_ADD_TYPE_ID(troupe, (troupe::DetachReader))
CAF_ADD_TYPE_ID(troupe, (troupe::CancelRequest))
CAF_ADD_TYPE_ID(troupe, (troupe::LookupRequest))
CAF_ADD_TYPE_ID(troupe, (troupe::TokenizeText))
CAF_ADD_TYPE_ID(troupe, (troupe::DetokenizeIds))
CAF_ADD_TYPE_ID(troupe, (troupe::Drain))
CAF_ADD_TYPE_ID(troupe, (troupe::PrepareRequest))
CAF_ADD_TYPE_ID(troupe, (troupe::PreparedRequest))
CAF_ADD_TYPE_ID(troupe, (troupe::SequenceSpec))
CAF_ADD_TYPE_ID(troupe, (troupe::CancelSequence))
CAF_ADD_TYPE_ID(troupe, (troupe::StopSequence))
CAF_ADD_TYPE_ID(troupe, (troupe::DeadlineDue))
CAF_ADD_TYPE_ID(troupe, (troupe::TokensEmitted))
CAF_ADD_TYPE_ID(troupe, (troupe::PromptLogprobs))
CAF_ADD_TYPE_ID(troupe, (troupe::SequenceEnded))
CAF_ADD_TYPE_ID(troupe, (troupe::SequencePreempted))
CAF_ADD_TYPE_ID(troupe, (troupe::RequestEnded))
CAF_ADD_TYPE_ID(troupe, (troupe::AbortRequests))
CAF_ADD_TYPE_ID(troupe, (troupe::FrontendNeeded))
CAF_ADD_TYPE_ID(troupe, (troupe::LossHandled))
CAF_ADD_TYPE_ID(troupe, (troupe::Alarm))
CAF_ADD_TYPE_ID(troupe, (troupe::NextText))
CAF_ADD_TYPE_ID(troupe, (troupe::RequestExpired))
CAF_ADD_TYPE_ID(troupe, (troupe::StepPlan))
CAF_ADD_TYPE_ID(troupe, (troupe::StepResult))
CAF_ADD_TYPE_ID(troupe, (troupe::MoveBlocks))
CAF_ADD_TYPE_ID(troupe, (troupe::MoveDone))
CAF_ADD_TYPE_ID(troupe, (troupe::DiskTransfer))
CAF_ADD_TYPE_ID(troupe, (troupe::DiskTransferred))
CAF_ADD_TYPE_ID(troupe, (troupe::CreatePool))
CAF_ADD_TYPE_ID(troupe, (troupe::PoolReady))
CAF_ADD_TYPE_ID(troupe, (troupe::WorkerStarted))
CAF_ADD_TYPE_ID(troupe, (troupe::WorkerUp))
CAF_ADD_TYPE_ID(troupe, (troupe::WorkerDown))
CAF_ADD_TYPE_ID(troupe, (troupe::ReplicaFailed))
CAF_ADD_TYPE_ID(troupe, (troupe::SchedulerUp))
CAF_ADD_TYPE_ID(troupe, (troupe::FrontendUp))
CAF_ADD_TYPE_ID(troupe, (troupe::StartReplica))
CAF_ADD_TYPE_ID(troupe, (troupe::TokenReceiver))
CAF_ADD_TYPE_ID(troupe, (troupe::WorkerActor))
CAF_ADD_TYPE_ID(troupe, (troupe::MemoryManagerActor))
CAF_ADD_TYPE_ID(troupe, (troupe::SchedulerActor))
CAF_ADD_TYPE_ID(troupe, (troupe::FrontendActor))
CAF_END_TYPE_ID_BLOCK(troupe)
