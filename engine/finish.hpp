// Ends of sequences, and what a policy is told of them. Part of the Scheduler machine.
#pragma once
#include <optional>
#include <vector>

#include "engine/events.hpp"
#include "engine/policy_port.hpp"
#include "engine/scheduler_state.hpp"

namespace troupe {

// Of no sequence.
PolicyEvent policy_event(PolicyEventKind kind, TimeUs now, std::int64_t value = 0);
PolicyEvent policy_event(PolicyEventKind kind, TimeUs now, const SequenceSpec& of, std::int64_t value = 0);

// Ends a sequence: one Finish, then it is forgotten, and the policy is told.
void finish(SchedulerState& state, PolicyPort& policy, TimeUs now, Sequence& sequence, FinishReason reason,
            std::uint32_t generated, std::vector<Action>& actions, std::optional<Error> error = std::nullopt);

}  // namespace troupe
