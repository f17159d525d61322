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

#define TROUPE_POLICY_ABI_VERSION 2

enum PolicySequenceState {
    POLICY_WAITING = 0, /* not begun; holds no blocks */
    POLICY_RUNNING = 1, /* holds blocks; counts against max_sequences */
    POLICY_PREEMPTED =
        2,              /* ran, lost its blocks, recomputes prompt and generated tokens when it runs again */
    POLICY_SWAPPED = 3, /* as POLICY_PREEMPTED, with KV in a lower tier that comes back when it runs again */
};

/* One live sequence, as it will be once the steps in flight are done. It can be given between 1 and
 * prompt_tokens + generated_tokens - computed_tokens tokens of the next step; with all of them the step
 * samples its next token. It can be given none once generated_tokens == max_tokens: it is about to end. */
typedef struct PolicySequence {
    uint64_t id;
    uint64_t tenant;
    int64_t arrival_us;
    int64_t deadline_us;    /* 0: none */
    int64_t first_token_us; /* 0: no token yet, or it came from a scheduler that is gone */
    int64_t last_token_us;  /* 0: as above */
    int64_t ttft_target_us; /* from arrival to the first token; 0: no target */
    int64_t tpot_target_us; /* between tokens after the first, on average; 0: no target */
    int32_t priority;       /* smaller is more urgent */
    uint32_t state;         /* PolicySequenceState */
    uint32_t prompt_tokens;
    uint32_t computed_tokens;      /* with KV, steps in flight included */
    uint32_t cached_prefix_tokens; /* of computed_tokens, if it is not running: KV that is there and that it
                                      will share; its full blocks need no new ones. Where thousands wait, it
                                      may be less than there is for a few steps */
    uint32_t cached_free_blocks;   /* of those full blocks, how many nobody uses now: they count among
                                      free_blocks until it takes them */
    uint32_t swapped_tokens;       /* KV in lower tiers that it would get back; needs blocks, no computing */
    uint32_t generated_tokens;     /* those that steps in flight will sample included */
    uint32_t
        max_tokens; /* it ends at the latest with that many generated tokens (the context's end included) */
    uint32_t oracle_tokens; /* how many it will generate, which only a simulation knows; 0: unknown */
    uint32_t
        blocks_held; /* by it and nobody else, if it runs: so many come free when it is preempted. What it
                        shares with others stays with them; in all it has blocks for computed_tokens */
    uint32_t preemptions;
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
    uint32_t free_blocks;      /* those that come free when the steps in flight are done included */
    uint32_t swap_free_blocks; /* of the lower tiers */
    /* Predicted microseconds of a step: base + per_token * tokens + per_context_token * (sum of the rows'
     * context). All 0 before the first step has been measured. */
    double step_cost_base_us;
    double step_cost_per_token_us;
    double step_cost_per_context_token_us;
    double swap_us_per_block; /* measured time to move a block between tiers; 0: there is no lower tier */
} PolicyView;

typedef struct PolicyRow {
    uint32_t sequence; /* index into the view's sequences */
    uint32_t num_tokens;
} PolicyRow;

enum PolicyVictimAction {
    POLICY_VICTIM_BY_COST = 0, /* the engine takes what its measured costs say is cheaper */
    POLICY_VICTIM_RECOMPUTE = 1,
    POLICY_VICTIM_SWAP = 2, /* recomputes all the same where there is no lower tier or no room in it */
};

/* Filled by decide(). Arrays and capacities are the caller's, counts come as 0. Victims are preempted first,
 * then rows get their blocks in their order: a row that does not fit is left out of this step, and from there
 * on so is every row that needs new blocks. A row for a sequence that is not running admits it. */
typedef struct PolicyDecision {
    PolicyRow* rows;
    uint32_t rows_capacity; /* num_sequences of the view */
    uint32_t num_rows;
    uint32_t* victims;         /* indices of running sequences */
    uint32_t victims_capacity; /* num_sequences of the view */
    uint32_t num_victims;
    uint8_t* victim_actions; /* PolicyVictimAction of each victim; comes filled with 0 */
    uint32_t* shed; /* indices of sequences that wait and have generated nothing: they are refused with the
                       error slo_unreachable (HTTP 429) and end here */
    uint32_t shed_capacity; /* num_sequences of the view */
    uint32_t num_shed;
} PolicyDecision;

enum PolicyEventKind {
    POLICY_EVENT_ARRIVED = 0,  /* value: prompt tokens */
    POLICY_EVENT_FINISHED = 1, /* for whatever reason; value: generated tokens */
    POLICY_EVENT_PREEMPTED = 2,
    POLICY_EVENT_STEP_COMPLETED = 3, /* value: the step's compute time in microseconds */
    POLICY_EVENT_WORKER_LOST = 4,    /* every running sequence is now preempted */
    POLICY_EVENT_WORKER_READY = 5,
    POLICY_EVENT_LIVE = 6, /* told to an instance that takes over from another, once for every live sequence
                              before its first decide(); value: generated tokens */
};

typedef struct PolicyEvent {
    uint32_t kind;     /* PolicyEventKind; ignore those that you do not know */
    uint32_t reserved; /* 0 */
    uint64_t sequence; /* id; 0 where the event is of no sequence */
    uint64_t tenant;   /* of the sequence */
    int64_t now_us;
    int64_t value;
} PolicyEvent;

typedef struct PolicyTable {
    uint32_t abi_version; /* TROUPE_POLICY_ABI_VERSION */
    uint32_t struct_size; /* sizeof(PolicyTable) */
    /* `options`: the operator's, a line "key=value" for each, or "". Returns the policy's state, passed to
     * the other functions; may be null. What it cannot accept (an unknown key, a value out of range) it says
     * in `error`, an empty text of error_capacity bytes: then the policy is not used, and destroy() is not
     * called. */
    void* (*create)(const char* options, char* error, uint32_t error_capacity);
    void (*destroy)(void* self);
    /* Returns 0, or anything else to let FCFS decide this step. */
    int32_t (*decide)(void* self, const PolicyView* view, PolicyDecision* decision);
    void (*on_event)(void* self, const PolicyEvent* event); /* may be null */
} PolicyTable;

/* What a plug-in exports, under this very name. The table lives as long as the library is loaded. */
#define TROUPE_POLICY_ENTRY "troupe_policy"
typedef const PolicyTable* (*PolicyEntry)(void);

#ifdef __cplusplus
}  // extern "C"
}  // namespace troupe
#endif
#endif
