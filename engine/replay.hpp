// A recording of a Scheduler's events, and whether they lead to the same plans again. Pure; what a recording
// looks like in a file is known by actors/recording.hpp.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/events.hpp"
#include "engine/policy_port.hpp"
#include "engine/scheduler.hpp"

namespace troupe {

// An event, what the policy answered while it was handled, and the plans that came of it.
struct RecordedEvent {
    Event event;
    std::vector<PolicyOutcome> outcomes;
    std::vector<StepPlan> plans;
};

// The life of one Scheduler.
struct RecordedScheduler {
    std::string model;  // whose it was
    SchedulerOptions options;
    std::vector<RecordedEvent> events;
};

struct ReplayResult {
    std::uint64_t events = 0;               // handled
    std::uint64_t plans = 0;                // that were the same
    std::optional<std::string> difference;  // the first, in words
};

// Hands the events to a new Scheduler, with the recorded answers in the policy's place.
ReplayResult replay(const RecordedScheduler& recorded);

const char* event_name(const Event& event);
TimeUs event_time(const Event& event);

}  // namespace troupe
