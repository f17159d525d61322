#include "engine/finish.hpp"

#include <utility>

namespace troupe {

PolicyEvent policy_event(PolicyEventKind kind, TimeUs now, std::int64_t value) {
    return {.kind = static_cast<std::uint32_t>(kind),
            .reserved = 0,
            .sequence = 0,
            .tenant = 0,
            .now_us = now,
            .value = value};
}

PolicyEvent policy_event(PolicyEventKind kind, TimeUs now, const SequenceSpec& of, std::int64_t value) {
    PolicyEvent event = policy_event(kind, now, value);
    event.sequence = of.id;
    event.tenant = of.tenant;
    return event;
}

void finish(SchedulerState& state, PolicyPort& policy, TimeUs now, Sequence& sequence, FinishReason reason,
            std::uint32_t generated, std::vector<Action>& actions, std::optional<Error> error) {
    const PolicyEvent event = policy_event(POLICY_EVENT_FINISHED, now, sequence.spec, generated);
    actions.emplace_back(Finish{sequence.spec.id, reason, generated, std::move(error)});
    state.save(sequence, Swapper::Wish::by_cost, now);
    state.erase(sequence);
    policy.on_event(event);
}

}  // namespace troupe
