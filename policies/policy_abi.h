/* The C interface of scheduling policies: what a policy sees, what it answers. Flat data with counts, no
 * callbacks and no C++ types, so that a policy can be written in any language and outlive compilers.
 *
 * Before each step the engine calls decide(). It validates every answer and lets FCFS decide that step
 * instead when the answer is nonsense (engine/decision_check.hpp has the rules), so a policy can be slow or
 * wrong, never corrupting. A policy is called from one thread at a time, never concurrently; it keeps no
 * pointer from a call. To be replayable it takes its time from the view and its randomness from its own
 * state. */
#ifndef TROUPE_POLICIES_POLICY_ABI_H
#define TROUPE_POLICIES_POLICY_ABI_H

#ifdef __cplusplus
#include <cstdint>
namespace troupe {
extern "C" {
#else
#include <stdint.h>
#endif

#define TROUPE_POLICY_ABI_VERSION 1

enum PolicySequenceState {
    POLICY_WAITING = 0, /* not begun; holds no blocks */
    POLICY_RUNNING = 1, /* holds blocks; counts against max_sequences */
    POLICY_PREEMPTED =
        2, /* ran, lost its blocks, recomputes prompt and generated tokens when it runs again */
};

/* One live sequence, as it will be once the steps in flight are done. It can be given between 1 and
 * prompt_tokens + generated_tokens - computed_tokens tokens of the next step; with all of them the step
 * samples its next token. It can be given none once generated_tokens == max_tokens: it is about to end. */
typedef struct PolicySequence {
    uint64_t id;
    uint64_t tenant;
    int64_t arrival_us;
    int64_t deadline_us;   /* 0: none */
    int64_t last_token_us; /* 0: no token yet */
    int32_t priority;      /* smaller is more urgent */
    uint32_t state;        /* PolicySequenceState */
    uint32_t prompt_tokens;
    uint32_t computed_tokens;      /* with KV, steps in flight included */
    uint32_t cached_prefix_tokens; /* of computed_tokens, if it is not running: KV that others have, and that
                                      it will share; its full blocks need no free ones */
    uint32_t generated_tokens;     /* those that steps in flight will sample included */
    uint32_t
        max_tokens; /* it ends at the latest with that many generated tokens (the context's end included) */
    uint32_t blocks_held;
    uint32_t preemptions;
    uint32_t reserved; /* 0 */
} PolicySequence;

typedef struct PolicyView {
    uint32_t struct_size;            /* sizeof(PolicyView) of the engine */
    uint32_t sequence_size;          /* sizeof(PolicySequence) of the engine: the stride of `sequences` */
    const PolicySequence* sequences; /* by (arrival, id) */
    uint32_t num_sequences;
    uint32_t num_running; /* of them */
    int64_t now_us;
    uint32_t token_budget;  /* sum of the step's tokens at most */
    uint32_t max_sequences; /* running at once at most */
    uint32_t block_size;    /* tokens per KV block */
    uint32_t total_blocks;
    uint32_t free_blocks; /* those that come free when the steps in flight are done included */
    uint32_t reserved;    /* 0 */
    /* Predicted microseconds of a step: base + per_token * tokens + per_context_token * (sum of the rows'
     * context). */
    double step_cost_base_us;
    double step_cost_per_token_us;
    double step_cost_per_context_token_us;
} PolicyView;

typedef struct PolicyRow {
    uint32_t sequence; /* index into the view's sequences */
    uint32_t num_tokens;
} PolicyRow;

/* Filled by decide(). Arrays and capacities are the caller's. Victims are preempted first, then rows get
 * their blocks in their order: a row that does not fit is left out of this step, and from there on so is
 * every row that needs new blocks. A row for a sequence that is not running admits it. */
typedef struct PolicyDecision {
    PolicyRow* rows;
    uint32_t rows_capacity; /* num_sequences of the view */
    uint32_t num_rows;
    uint32_t* victims;         /* indices of running sequences */
    uint32_t victims_capacity; /* num_sequences of the view */
    uint32_t num_victims;
} PolicyDecision;

enum PolicyEventKind {
    POLICY_EVENT_ARRIVED = 0,
    POLICY_EVENT_FINISHED = 1, /* for whatever reason */
    POLICY_EVENT_PREEMPTED = 2,
    POLICY_EVENT_STEP_COMPLETED = 3, /* value: the step's compute time in microseconds */
    POLICY_EVENT_WORKER_LOST = 4,    /* every running sequence is now preempted */
    POLICY_EVENT_WORKER_READY = 5,
};

typedef struct PolicyEvent {
    uint32_t kind;     /* PolicyEventKind */
    uint32_t reserved; /* 0 */
    uint64_t sequence; /* id; 0 where the event is of no sequence */
    int64_t now_us;
    int64_t value;
} PolicyEvent;

typedef struct PolicyTable {
    uint32_t abi_version; /* TROUPE_POLICY_ABI_VERSION */
    uint32_t struct_size; /* sizeof(PolicyTable) */
    /* `options`: text from the operator, or "". Returns the policy's state, passed to the other functions;
     * may be null. */
    void* (*create)(const char* options);
    void (*destroy)(void* self);
    /* Returns 0, or anything else to let FCFS decide this step. */
    int32_t (*decide)(void* self, const PolicyView* view, PolicyDecision* decision);
    void (*on_event)(void* self, const PolicyEvent* event); /* may be null */
} PolicyTable;

#ifdef __cplusplus
}  // extern "C"
}  // namespace troupe
#endif
#endif
