#include "engine/replay.hpp"

#include <algorithm>
#include <stdexcept>
#include <type_traits>
#include <variant>

namespace troupe {
namespace {

// Answers what the recording holds.
class ReplayingPort final : public PolicyPort {
  public:
    void expect(const std::vector<PolicyOutcome>& outcomes) {
        outcomes_ = &outcomes;
        next_ = 0;
    }
    PolicyOutcome decide(const PolicyView&) override {
        if (next_ < outcomes_->size()) return (*outcomes_)[next_++];
        ++missing_;
        return Rejected{"the recording holds no answer of the policy here"};
    }
    void on_event(const PolicyEvent&) override {}

    std::size_t left() const { return outcomes_->size() - next_; }
    std::size_t missing() const { return missing_; }

  private:
    const std::vector<PolicyOutcome>* outcomes_ = nullptr;
    std::size_t next_ = 0, missing_ = 0;
};

std::string text_of(SequenceId id) { return std::to_string(id); }
std::string text_of(BlockId block) { return std::to_string(block); }
std::string text_of(const BlockCopy& copy) {
    return std::to_string(copy.from) + "->" + std::to_string(copy.to);
}
std::string text_of(const PlanRow& row) {
    return "{sequence " + std::to_string(row.id) + ", " + std::to_string(row.num_new_tokens) +
           (row.kind == RowKind::sample ? " tokens, samples}" : " tokens}");
}
template <class T>
std::string text_of(const std::vector<T>& list);
std::string text_of(const GrownSequence& grown);
std::string text_of(const AddedSequence& added);
template <class T>
std::string text_of(const std::vector<T>& list) {
    std::string text = "[";
    for (const T& one : list) text += (text.size() > 1 ? ", " : "") + text_of(one);
    return text + "]";
}
std::string text_of(const GrownSequence& grown) {
    return "{sequence " + std::to_string(grown.id) + ", blocks " + text_of(grown.new_blocks) + ", replaces " +
           std::to_string(grown.num_replaced) + "}";
}
std::string text_of(const AddedSequence& added) {
    return "{sequence " + std::to_string(added.id) + ", " + std::to_string(added.tokens.size()) +
           " tokens, " + std::to_string(added.num_computed_tokens) + " with KV, blocks " +
           text_of(added.block_table) + "}";
}

template <class T>
std::optional<std::string> part_difference(const char* name, const T& recorded, const T& replayed) {
    if (recorded == replayed) return std::nullopt;
    return std::string(name) + ": recorded " + text_of(recorded) + ", replayed " + text_of(replayed);
}

// In the order in which a plan is applied.
std::string plan_difference(const StepPlan& recorded, const StepPlan& replayed) {
    if (auto difference = part_difference("step", recorded.step, replayed.step)) return *difference;
    const std::string where = "plan of step " + std::to_string(recorded.step) + ", ";
    if (auto difference = part_difference("epoch", recorded.epoch, replayed.epoch))
        return where + *difference;
    if (auto difference = part_difference("removed", recorded.removed, replayed.removed))
        return where + *difference;
    if (auto difference = part_difference("added", recorded.added, replayed.added))
        return where + *difference;
    if (auto difference = part_difference("grown", recorded.grown, replayed.grown))
        return where + *difference;
    if (auto difference = part_difference("copies", recorded.copies, replayed.copies))
        return where + *difference;
    if (auto difference = part_difference("rows", recorded.rows, replayed.rows)) return where + *difference;
    return where + "some value";
}

std::optional<std::string> event_difference(const RecordedEvent& recorded, const std::vector<Action>& actions,
                                            const ReplayingPort& port, std::uint64_t& same) {
    std::size_t next = 0;
    for (const Action& action : actions) {
        const auto* execute = std::get_if<Execute>(&action);
        if (execute == nullptr) continue;
        if (next == recorded.plans.size())
            return "a plan of step " + std::to_string(execute->plan.step) +
                   " that the recording does not have";
        if (!(recorded.plans[next] == execute->plan))
            return plan_difference(recorded.plans[next], execute->plan);
        ++next;
        ++same;
    }
    if (next < recorded.plans.size())
        return "no plan of step " + std::to_string(recorded.plans[next].step) + ", which the recording has";
    if (port.missing() > 0) return "the policy is asked once more than in the recording";
    if (port.left() > 0) return "the policy is asked less often than in the recording";
    return std::nullopt;
}

}  // namespace

const char* event_name(const Event& event) {
    return std::visit(
        [](const auto& e) {
            using E = std::decay_t<decltype(e)>;
            if constexpr (std::is_same_v<E, RequestArrived>) return "RequestArrived";
            if constexpr (std::is_same_v<E, RequestCancelled>) return "RequestCancelled";
            if constexpr (std::is_same_v<E, StopReached>) return "StopReached";
            if constexpr (std::is_same_v<E, StepCompleted>) return "StepCompleted";
            if constexpr (std::is_same_v<E, WorkerLost>) return "WorkerLost";
            if constexpr (std::is_same_v<E, WorkerReady>) return "WorkerReady";
            if constexpr (std::is_same_v<E, DeadlineReached>) return "DeadlineReached";
            if constexpr (std::is_same_v<E, PolicyReplaced>) return "PolicyReplaced";
            if constexpr (std::is_same_v<E, MoveCompleted>) return "MoveCompleted";
        },
        event);
}

TimeUs event_time(const Event& event) {
    return std::visit([](const auto& e) { return e.now; }, event);
}

ReplayResult replay(const RecordedScheduler& recorded) {
    ReplayResult result;
    if (const Status valid = validate(recorded.options); !valid) {
        result.difference = "the recorded options are not valid: " + valid.error().message;
        return result;
    }
    constexpr std::uint32_t most_blocks = 1U << 24;  // no machine has more; a broken file may claim it
    if (std::max({recorded.options.num_blocks, recorded.options.host_pages, recorded.options.disk_pages}) >
        most_blocks) {
        result.difference = "the recorded options are not valid: no pool is that large";
        return result;
    }
    ReplayingPort port;
    Scheduler scheduler(recorded.options, port);
    for (const RecordedEvent& one : recorded.events) {
        std::optional<std::string> difference;
        port.expect(one.outcomes);
        try {
            difference = event_difference(one, scheduler.handle(one.event), port, result.plans);
        } catch (const std::exception& error) {
            difference = error.what();
        }
        ++result.events;
        if (!difference) continue;
        result.difference = "event " + std::to_string(result.events) + " (" + event_name(one.event) + " at " +
                            std::to_string(event_time(one.event)) + " us): " + *difference;
        break;
    }
    return result;
}

}  // namespace troupe
