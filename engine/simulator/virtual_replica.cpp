#include "engine/simulator/virtual_replica.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>
#include <variant>

namespace troupe {

VirtualReplica::VirtualReplica(const SchedulerOptions& options, PolicyPort& policy, const StepCosts& costs,
                               double gap_us, std::vector<VirtualSequence>& sequences,
                               ReplicaListener& listener)
    : scheduler_(options, policy),
      costs_(costs),
      gap_us_(gap_us),
      sequences_(sequences),
      listener_(listener),
      mover_(options.host_us_per_block, options.disk_us_per_block) {
    handle(WorkerReady{0, 1});
}

void VirtualReplica::submit(TimeUs now, SequenceSpec spec) { handle(RequestArrived{now, std::move(spec)}); }

void VirtualReplica::advance() {
    if (ends_ <= mover_.next_end()) return end_step();
    const TimeUs now = mover_.next_end();
    handle(MoveCompleted{now, mover_.take()});
}

void VirtualReplica::end_step() {
    const TimeUs now = ends_;
    ends_ = never;
    idle_since_ = now;
    listener_.stepped(begun_, now, features_);
    StepCompleted event{now, std::move(running_)};
    begin_next(now);  // if it was planned ahead: the worker does not wait for the scheduler
    handle(event);
}

void VirtualReplica::handle(const Event& event) {
    const TimeUs now = std::visit([](const auto& e) { return e.now; }, event);
    for (Action& action : scheduler_.handle(event)) {
        if (auto* execute = std::get_if<Execute>(&action)) {
            plans_.push_back(std::move(execute->plan));
            begin_next(now);
        } else if (const auto* token = std::get_if<EmitToken>(&action)) {
            listener_.emitted(token->sequence, now);
        } else if (const auto* finish = std::get_if<Finish>(&action)) {
            const bool served =
                finish->reason == FinishReason::stop || finish->reason == FinishReason::length;
            listener_.ended(finish->sequence, now, served);
        } else if (const auto* reject = std::get_if<Reject>(&action)) {
            listener_.ended(reject->sequence, now, false);
        } else if (const auto* preempted = std::get_if<Preempted>(&action)) {
            listener_.preempted(preempted->sequence);
        } else if (const auto* move = std::get_if<Move>(&action)) {
            mover_.begin(now, move->moves);
        }
    }
}

void VirtualReplica::begin_next(TimeUs now) {
    if (ends_ != never || plans_.empty()) return;
    const StepPlan& plan = plans_.front();
    begun_ = std::max<TimeUs>(now, idle_since_ + std::llround(gap_us_));
    features_ = apply(plan, now);
    const double us = costs_.step_us(features_);
    constexpr double day_us = 86'400e6;
    if (!(us <= day_us))
        throw std::range_error("simulate: a step would take more than a day; check the costs in --device");
    const TimeUs cost = std::max<TimeUs>(1, std::llround(us));
    running_.compute_us = cost;
    ends_ = begun_ + cost;
    plans_.pop_front();
}

// Lays out the step's result and what it costs.
StepFeatures VirtualReplica::apply(const StepPlan& plan, TimeUs now) {
    StepFeatures step;
    running_.epoch = plan.epoch;
    running_.step = plan.step;
    running_.sampled.clear();
    for (const AddedSequence& added : plan.added) {
        sequences_[added.id - 1].computed_tokens = added.num_computed_tokens;
        listener_.admitted(added.id, now, added.num_computed_tokens);
    }
    running_.sampled.reserve(plan.rows.size());
    for (const PlanRow& row : plan.rows) {
        VirtualSequence& sequence = sequences_[row.id - 1];
        const std::uint64_t begin = sequence.computed_tokens, end = begin + row.num_new_tokens;
        sequence.computed_tokens = static_cast<std::uint32_t>(end);
        step.add(row, begin);
        if (row.kind != RowKind::sample) continue;
        const std::uint64_t generated = end + 1 - sequence.prompt_tokens;
        running_.sampled.push_back(
            {row.id, {generated >= sequence.output_tokens ? end_token : other_token}, {}});
    }
    return step;
}

}  // namespace troupe
