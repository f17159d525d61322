#include "engine/simulator/recorded_steps.hpp"

#include <map>
#include <utility>
#include <variant>

namespace troupe {

std::vector<RecordedStep> recorded_steps(const RecordedScheduler& recorded) {
    std::vector<RecordedStep> steps;
    std::map<SequenceId, std::uint64_t> computed;              // tokens, by steps planned
    std::map<std::pair<Epoch, StepId>, RecordedStep> planned;  // and not completed
    for (const RecordedEvent& one : recorded.events) {
        if (const auto* completed = std::get_if<StepCompleted>(&one.event)) {
            const auto found = planned.find({completed->result.epoch, completed->result.step});
            if (found == planned.end()) continue;
            RecordedStep& step = steps.emplace_back(found->second);
            step.completed = completed->now;
            step.us = completed->result.compute_us;
            step.idle_us = completed->result.idle_us;
            planned.erase(planned.begin(), std::next(found));
        }
        for (const StepPlan& plan : one.plans) {
            RecordedStep& step = planned[{plan.epoch, plan.step}];
            step.planned_ahead = planned.size() > 1;
            for (const SequenceId removed : plan.removed) computed.erase(removed);
            for (const AddedSequence& added : plan.added) computed[added.id] = added.num_computed_tokens;
            for (const PlanRow& row : plan.rows) {
                std::uint64_t& tokens = computed[row.id];
                step.features.add(row, tokens);
                tokens += row.num_new_tokens;
            }
        }
    }
    return steps;
}

}  // namespace troupe
