// The steps of a recording: what each had to do, and how long the worker took.
#pragma once
#include <vector>

#include "engine/replay.hpp"
#include "engine/simulator/step_costs.hpp"

namespace troupe {

struct RecordedStep {
    StepFeatures features;
    TimeUs completed = 0;        // when the scheduler heard of it
    TimeUs us = 0;               // of computing
    TimeUs idle_us = 0;          // of the worker before it: the gap, or nothing to do
    bool planned_ahead = false;  // the step before it had not ended when it was planned
};

// Of the steps that completed, in their order.
std::vector<RecordedStep> recorded_steps(const RecordedScheduler& recorded);

}  // namespace troupe
