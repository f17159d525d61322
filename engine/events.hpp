// What goes into the Scheduler and what comes out: plain serializable values. Time comes with the event
// (microseconds on one monotonic clock, never decreasing). A recording of the events replays to the same
// actions.
#pragma once
#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "core/block_move.hpp"
#include "core/sequence.hpp"
#include "core/status.hpp"
#include "core/step_plan.hpp"

namespace troupe {

// Events
// --------------------------------------------------------------------------------------------------------

// A new sequence, or one submitted again after a scheduler's loss: then spec.tokens holds the generated
// tokens too and positions go on from there. If a sequence with this id is live, the new submission takes its
// place.
struct RequestArrived {
    TimeUs now = 0;
    SequenceSpec spec;
    bool operator==(const RequestArrived&) const = default;
};

// The client, or the request actor, is gone. In no plan made from now on.
struct RequestCancelled {
    TimeUs now = 0;
    SequenceId sequence = 0;
    bool operator==(const RequestCancelled&) const = default;
};

// The request actor found a stop string completed by the generated token at `position` (from 0). `epoch` is
// that of the EmitToken that brought it. Ignored if the sequence is gone, has no such token, or the epoch is
// still to come.
struct StopReached {
    TimeUs now = 0;
    SequenceId sequence = 0;
    Epoch epoch = 0;
    std::uint32_t position = 0;
    bool operator==(const StopReached&) const = default;
};

// A worker's answer to Execute. Results of other epochs are ignored.
struct StepCompleted {
    TimeUs now = 0;
    StepResult result;
    bool operator==(const StepCompleted&) const = default;
};

// The worker group of this epoch is gone, with its KV and every step in flight. Ignored if it is not the
// current one.
struct WorkerLost {
    TimeUs now = 0;
    Epoch epoch = 0;
    bool operator==(const WorkerLost&) const = default;
};

// A new, empty worker group. Its epoch must be higher than all before, otherwise it is ignored. What lies in
// the tiers below the pool is still there if their memory manager is the one before.
struct WorkerReady {
    TimeUs now = 0;
    Epoch epoch = 0;
    bool tiers_survive = false;
    bool operator==(const WorkerReady&) const = default;
};

// A timer of the shell for spec.deadline. Ignored if `now` is earlier than the deadline.
struct DeadlineReached {
    TimeUs now = 0;
    SequenceId sequence = 0;
    bool operator==(const DeadlineReached&) const = default;
};

// The shell put another policy behind the port: it is told of every live sequence.
struct PolicyReplaced {
    TimeUs now = 0;
    bool operator==(const PolicyReplaced&) const = default;
};

// The memory manager's answer to Move. Answers of other epochs are ignored.
struct MoveCompleted {
    TimeUs now = 0;
    MoveDone done;
    bool operator==(const MoveCompleted&) const = default;
};

using Event = std::variant<RequestArrived, RequestCancelled, StopReached, StepCompleted, WorkerLost,
                           WorkerReady, DeadlineReached, PolicyReplaced, MoveCompleted>;

// Actions
// -------------------------------------------------------------------------------------------------------

// To the worker group of plan.epoch. Within one handle() Execute comes before every other action.
struct Execute {
    StepPlan plan;
    bool operator==(const Execute&) const = default;
};

// To the request actor: newly generated tokens. `position` is the index of the first of them among all tokens
// that the sequence generated in its life, those it was submitted with included. The end token is emitted
// too.
struct EmitToken {
    SequenceId sequence = 0;
    Epoch epoch = 0;
    std::uint32_t position = 0;
    std::vector<TokenId> tokens;
    std::vector<PositionLogprobs> logprobs = {};  // of each, if the sequence's parameters want them
    bool operator==(const EmitToken&) const = default;
};

// To the request actor: log probabilities of its prompt's tokens. Those of a step come before its EmitToken,
// and after a recompute they come again, perhaps cut otherwise.
struct EmitPromptLogprobs {
    PromptLogprobs prompt;
    bool operator==(const EmitPromptLogprobs&) const = default;
};

// The sequence has ended and is forgotten; every accepted submission gets exactly one as its last action,
// unless a new submission took its place. num_generated counts the tokens of its output; tokens emitted
// beyond it are void (only after StopReached).
struct Finish {
    SequenceId sequence = 0;
    FinishReason reason = FinishReason::stop;
    std::uint32_t num_generated = 0;
    std::optional<Error> error;  // with FinishReason::failed
    bool operator==(const Finish&) const = default;
};

// Refused at admission; nothing else follows for this submission.
struct Reject {
    SequenceId sequence = 0;
    Error error;
    bool operator==(const Reject&) const = default;
};

// To the request actor, for its information: it lost its blocks and will recompute.
struct Preempted {
    SequenceId sequence = 0;
    bool operator==(const Preempted&) const = default;
};

// To the memory manager of moves.epoch.
struct Move {
    MoveBlocks moves;
    bool operator==(const Move&) const = default;
};

using Action = std::variant<Execute, EmitToken, EmitPromptLogprobs, Finish, Reject, Preempted, Move>;

}  // namespace troupe
