#include "engine/simulator/simulator.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <queue>
#include <stdexcept>
#include <utility>

#include "engine/simulator/virtual_replica.hpp"

namespace troupe {
namespace {

constexpr std::size_t progress_interval = 1024;  // requests

class Simulator final : public ReplicaListener {
  public:
    Simulator(const Workload& workload, const SimulationOptions& options, const StepCosts& costs,
              const PolicyMaker& make_policy, const SimulationProgress& progress)
        : workload_(workload),
          options_(options),
          progress_(progress),
          choice_(options.routing, options.num_replicas),
          sequences_(workload.requests.size()) {
        result_.requests.resize(workload.requests.size());
        for (std::uint32_t i = 0; i < options.num_replicas; ++i) {
            policies_.push_back(make_policy());
            replicas_.push_back(std::make_unique<VirtualReplica>(
                options.scheduler, *policies_.back(), costs, options.overheads.gap_us, sequences_, *this));
        }
        states_.resize(options.num_replicas);
    }

    SimulationResult run() {
        const std::vector<Submission> submissions = submissions_in_order();
        std::size_t next = 0;
        for (;;) {
            const TimeUs step_end = ends_.empty() ? VirtualReplica::never : ends_.top().first;
            const TimeUs arrival = next < submissions.size() ? submissions[next].when : VirtualReplica::never;
            if (step_end == VirtualReplica::never && arrival == VirtualReplica::never) break;
            if (step_end <= arrival) {
                const std::size_t replica = ends_.top().second;
                ends_.pop();
                advance(replica, step_end, [&] { replicas_[replica]->end_step(); });
            } else {
                submit(submissions[next++]);
            }
        }
        if (ended_ != workload_.requests.size())
            throw std::logic_error("simulator: requests are left and nothing will happen");
        for (const auto& replica : replicas_) {
            result_.preemptions += replica->stats().num_preemptions;
            result_.rejected_decisions += replica->stats().num_rejected_decisions;
        }
        if (!workload_.requests.empty()) result_.duration = last_ - workload_.requests.front().arrival;
        return std::move(result_);
    }

  private:
    struct Submission {
        TimeUs when = 0;  // it reaches the scheduler
        std::size_t request = 0;
    };
    struct ReplicaState {  // since the last event
        TimeUs since = 0;
        double running = 0, waiting = 0, kv_share = 0;
    };

    // Long prompts take longer to tokenize, so that others may overtake them.
    std::vector<Submission> submissions_in_order() const {
        std::vector<Submission> submissions(workload_.requests.size());
        for (std::size_t i = 0; i < submissions.size(); ++i) {
            const WorkloadRequest& request = workload_.requests[i];
            const double us = options_.overheads.request_us +
                              options_.overheads.request_us_per_token * request.prompt_tokens;
            submissions[i] = {request.arrival + std::llround(us), i};
        }
        std::stable_sort(submissions.begin(), submissions.end(),
                         [](const Submission& a, const Submission& b) { return a.when < b.when; });
        return submissions;
    }

    // Lets a replica handle one event, and notes when it will have the next.
    template <class Handle>
    void advance(std::size_t replica, TimeUs now, Handle handle) {
        const TimeUs before = replicas_[replica]->next_end();
        handle();
        note_state(replica, now);
        const TimeUs after = replicas_[replica]->next_end();
        if (after != VirtualReplica::never && after != before) ends_.emplace(after, replica);
    }

    void note_state(std::size_t replica, TimeUs now) {
        ReplicaState& state = states_[replica];
        result_.timeline.add_state(state.since, now, state.running, state.waiting, state.kv_share);
        const SchedulerStats stats = replicas_[replica]->stats();
        const double used = stats.total_blocks - stats.free_blocks;
        state = {now, static_cast<double>(stats.num_running), static_cast<double>(stats.num_waiting),
                 used / stats.total_blocks};
    }

    void submit(const Submission& submission) {
        const WorkloadRequest& request = workload_.requests[submission.request];
        const SequenceId id = submission.request + 1;
        const std::size_t replica = choice_.choose(chain_of(request));
        sequences_[submission.request] = {request.prompt_tokens, request.output_tokens, 0};
        RequestOutcome& outcome = result_.requests[submission.request];
        outcome.arrival = request.arrival;
        outcome.replica = static_cast<std::uint32_t>(replica);
        if (options_.max_open > 0 && choice_.open(replica) > options_.max_open)
            return ended(id, submission.when, false);
        SequenceSpec spec;
        spec.id = id;
        spec.tenant = request.tenant;
        spec.arrival = submission.when;
        spec.cache_salt = std::to_string(request.tenant) + ";" +
                          std::to_string(request.cache_salt);  // as the server's requests have it
        spec.priority = request.priority;
        spec.tokens = prompt_of(workload_, submission.request);
        spec.num_prompt_tokens = request.prompt_tokens;
        spec.stop.max_tokens = options_.max_tokens > 0 ? std::max(options_.max_tokens, request.output_tokens)
                                                       : request.output_tokens;
        spec.stop.ignore_eos = options_.max_tokens == 0;
        spec.ttft_target = request.ttft_target > 0 ? request.ttft_target : options_.ttft_target;
        spec.tpot_target = request.tpot_target > 0 ? request.tpot_target : options_.tpot_target;
        if (options_.oracle) spec.oracle_tokens = request.output_tokens;
        advance(replica, submission.when,
                [&] { replicas_[replica]->submit(submission.when, std::move(spec)); });
    }

    std::vector<std::uint64_t> chain_of(const WorkloadRequest& request) const {
        std::vector<std::uint64_t> chain;
        if (options_.routing != Routing::prefix) return chain;
        std::uint64_t hash =
            std::uint64_t{request.tenant} << 32 | request.cache_salt;  // tenants share no prefixes
        for (std::uint32_t i = 0; i < request.num_hashes; ++i) {
            hash = (hash ^ workload_.hashes[request.first_hash + i]) * 0x9E3779B97F4A7C15ULL;
            hash ^= hash >> 29;
            chain.push_back(hash);
        }
        return chain;
    }

    void admitted(SequenceId id, TimeUs now, std::uint32_t num_cached) override {
        RequestOutcome& outcome = result_.requests[id - 1];
        if (outcome.preemptions == 0 && outcome.output_tokens == 0) {
            outcome.cached_tokens = num_cached;
            result_.timeline.add_amount(now, Timeline::prompt_tokens,
                                        workload_.requests[id - 1].prompt_tokens);
        }
    }

    void emitted(SequenceId id, TimeUs now) override {
        RequestOutcome& outcome = result_.requests[id - 1];
        const TimeUs seen = now + std::llround(options_.overheads.emit_us);
        if (outcome.output_tokens++ == 0) {
            outcome.first_token = seen;
        } else {
            result_.itl.add(static_cast<double>(seen - outcome.last_token));
        }
        outcome.last_token = seen;
    }

    void preempted(SequenceId id) override { ++result_.requests[id - 1].preemptions; }

    void ended(SequenceId id, TimeUs now, bool served) override {
        RequestOutcome& outcome = result_.requests[id - 1];
        outcome.served = served && outcome.output_tokens > 0;
        choice_.ended(outcome.replica);
        last_ = std::max(last_, outcome.served ? outcome.last_token : now);
        if (++ended_ % progress_interval == 0 && progress_) progress_(ended_, workload_.requests.size());
    }

    void stepped(TimeUs begin, TimeUs end, const StepFeatures& step) override {
        ++result_.steps;
        result_.step_tokens += step.tokens;
        result_.busy_us += static_cast<double>(end - begin);
        result_.timeline.add_amount(end, Timeline::busy_us, static_cast<double>(end - begin));
        result_.timeline.add_amount(end, Timeline::tokens, step.logits_rows);
    }

    using End = std::pair<TimeUs, std::size_t>;  // of a step of a replica

    const Workload& workload_;
    const SimulationOptions& options_;
    const SimulationProgress& progress_;
    ReplicaChoice choice_;
    std::vector<VirtualSequence> sequences_;
    std::vector<std::unique_ptr<PolicyPort>> policies_;
    std::vector<std::unique_ptr<VirtualReplica>> replicas_;
    std::vector<ReplicaState> states_;
    std::priority_queue<End, std::vector<End>, std::greater<>> ends_;
    SimulationResult result_;
    std::size_t ended_ = 0;
    TimeUs last_ = 0;
};

}  // namespace

SimulationResult simulate(const Workload& workload, const SimulationOptions& options, const StepCosts& costs,
                          const PolicyMaker& make_policy, const SimulationProgress& progress) {
    return Simulator(workload, options, costs, make_policy, progress).run();
}

}  // namespace troupe
