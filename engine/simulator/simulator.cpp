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
          choice_(options.routing, options.num_replicas,
                  std::uint64_t{options.scheduler.num_blocks} * options.scheduler.block_size),
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
            while (!events_.empty() && is_stale(events_.top())) events_.pop();
            const TimeUs event = events_.empty() ? VirtualReplica::never : events_.top().first;
            const TimeUs arrival = next < submissions.size() ? submissions[next].when : VirtualReplica::never;
            if (event == VirtualReplica::never && arrival == VirtualReplica::never) break;
            if (event <= arrival) {
                const std::size_t replica = events_.top().second;
                events_.pop();
                advance(replica, event, VirtualReplica::never, [&] { replicas_[replica]->advance(); });
            } else {
                submit(submissions[next++]);
            }
        }
        if (ended_ != workload_.requests.size())
            throw std::logic_error("simulator: requests are left and nothing will happen");
        for (const auto& replica : replicas_) {
            result_.preemptions += replica->stats().num_preemptions;
            result_.rejected_decisions += replica->stats().num_rejected_decisions;
            result_.shed += replica->stats().num_shed_sequences;
            const SwapStats& swap = replica->stats().swap;
            result_.blocks_out += swap.blocks_out;
            result_.blocks_in += swap.blocks_in;
            result_.blocks_spilled += swap.blocks_spilled;
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

    // Lets a replica handle one event, and notes when it will have the next, unless that is noted.
    template <class Handle>
    void advance(std::size_t replica, TimeUs now, TimeUs noted, Handle handle) {
        handle();
        note_state(replica, now);
        const TimeUs next = replicas_[replica]->next_event();
        if (next != VirtualReplica::never && next != noted) events_.emplace(next, replica);
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
        const std::vector<std::uint64_t> chain = chain_of(request);
        const std::size_t replica = choice_.choose(id, {request.prompt_tokens, chain, workload_.hash_tokens});
        sequences_[submission.request] = {request.prompt_tokens, request.output_tokens, 0};
        RequestOutcome& outcome = result_.requests[submission.request];
        outcome.arrival = request.arrival;
        outcome.replica = static_cast<std::uint32_t>(replica);
        if (options_.max_open > 0 && choice_.num_open(replica) > options_.max_open)
            return ended(id, submission.when, false);
        SequenceSpec spec;
        spec.id = id;
        spec.tenant = request.tenant;
        spec.arrival = submission.when;
        spec.cache_salt = salt_of(submission.request);
        spec.priority = request.priority;
        spec.tokens = prompt_of(workload_, submission.request);
        spec.num_prompt_tokens = request.prompt_tokens;
        spec.stop.max_tokens = options_.max_tokens > 0 ? std::max(options_.max_tokens, request.output_tokens)
                                                       : request.output_tokens;
        spec.stop.ignore_eos = options_.max_tokens == 0;
        spec.ttft_target = request.ttft_target > 0 ? request.ttft_target : options_.ttft_target;
        spec.tpot_target = request.tpot_target > 0 ? request.tpot_target : options_.tpot_target;
        if (options_.oracle) spec.oracle_tokens = request.output_tokens;
        advance(replica, submission.when, replicas_[replica]->next_event(),
                [&] { replicas_[replica]->submit(submission.when, std::move(spec)); });
    }

    // As the server's requests have it.
    std::string salt_of(std::size_t index) const {
        const WorkloadRequest& request = workload_.requests[index];
        std::string salt = std::to_string(request.tenant);
        if (!options_.prefix_caching) salt += ";only " + std::to_string(index);
        return salt + ";" + std::to_string(request.cache_salt);
    }

    std::vector<std::uint64_t> chain_of(const WorkloadRequest& request) const {
        std::vector<std::uint64_t> chain;
        if (options_.routing != Routing::prefix || !options_.prefix_caching) return chain;
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
            outcome.admitted = now;
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
            choice_.started(id);
        } else {
            result_.itl.add(static_cast<double>(seen - outcome.last_token));
        }
        outcome.last_token = seen;
    }

    void preempted(SequenceId id) override { ++result_.requests[id - 1].preemptions; }

    void ended(SequenceId id, TimeUs now, bool served) override {
        RequestOutcome& outcome = result_.requests[id - 1];
        outcome.served = served && outcome.output_tokens > 0;
        choice_.ended(id);
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

    using Next = std::pair<TimeUs, std::size_t>;  // when something happens at a replica

    // Something that came in between happens earlier.
    bool is_stale(const Next& next) const { return replicas_[next.second]->next_event() != next.first; }

    const Workload& workload_;
    const SimulationOptions& options_;
    const SimulationProgress& progress_;
    ReplicaChoice choice_;
    std::vector<VirtualSequence> sequences_;
    std::vector<std::unique_ptr<PolicyPort>> policies_;
    std::vector<std::unique_ptr<VirtualReplica>> replicas_;
    std::vector<ReplicaState> states_;
    std::priority_queue<Next, std::vector<Next>, std::greater<>> events_;
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
