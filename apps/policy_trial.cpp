#include "apps/policy_trial.hpp"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <cstring>
#include <exception>
#include <map>
#include <memory>
#include <vector>

#include "apps/policy_states.hpp"
#include "engine/decision_check.hpp"
#include "engine/scheduler.hpp"
#include "policies/builtin.hpp"
#include "policies/loader/policy_library.hpp"

namespace troupe {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint32_t states_per_instance = 100;

// Faults of one kind are told once, with their number and the first of them; and at once, in case that a
// later call ends the process.
class Faults {
  public:
    explicit Faults(int report) : report_(report) {}
    void add(const std::string& what, const std::string& where) {
        std::string kind;  // numbers differ from state to state
        for (const char c : what) {
            if (std::isdigit(static_cast<unsigned char>(c)) == 0) kind += c;
        }
        Kind& entry = kinds_[kind];
        if (entry.count++ > 0) return;
        entry.first = what + ", first in " + where;
        std::replace(entry.first.begin(), entry.first.end(), '\n', ' ');
        dprintf(report_, "found %s\n", entry.first.c_str());
    }
    std::vector<std::string> lines() const {
        std::vector<std::string> lines;
        for (const auto& [kind, entry] : kinds_)
            lines.push_back(entry.first +
                            (entry.count > 1 ? " (" + std::to_string(entry.count) + " times)" : ""));
        return lines;
    }

  private:
    struct Kind {
        std::string first;
        std::uint64_t count = 0;
    };
    int report_;
    std::map<std::string, Kind> kinds_;
};

// What a decision's arrays are filled with where the policy has no business.
constexpr std::uint8_t guard_byte = 0xA5;
constexpr std::size_t guard_size = 64;

template <class T>
class GuardedArray {
  public:
    explicit GuardedArray(std::size_t count)
        : size_(count * sizeof(T)), bytes_(size_ + 2 * guard_size, guard_byte) {
        std::fill_n(bytes_.begin() + guard_size, size_, std::uint8_t{0});
    }
    T* data() { return reinterpret_cast<T*>(bytes_.data() + guard_size); }
    bool intact() const {
        const auto whole = [](auto begin) {
            return std::all_of(begin, begin + guard_size,
                               [](std::uint8_t byte) { return byte == guard_byte; });
        };
        return whole(bytes_.begin()) && whole(bytes_.end() - guard_size);
    }

  private:
    std::size_t size_;
    std::vector<std::uint8_t> bytes_;
};

// The policy, with an eye on each of its calls.
class WatchedPolicy final : public PolicyPort {
  public:
    WatchedPolicy(const PolicyTable& table, const PolicyCheckOptions& options, TrialProgress& progress,
                  int report)
        : table_(table), options_(options), progress_(progress), faults_(report) {}
    ~WatchedPolicy() override { destroy(); }

    bool create() {
        std::array<char, 512> error{};
        rejected_ = false;
        watch("create()", [&] {
            self_ = table_.create(options_.options.c_str(), error.data(),
                                  static_cast<std::uint32_t>(error.size()));
        });
        error.back() = 0;
        made_ = error.front() == 0 && !rejected_;
        if (error.front() != 0) faults_.add(std::string("does not start: ") + error.data(), where_);
        return made_;
    }
    void destroy() {
        if (made_) watch("destroy()", [&] { table_.destroy(self_); });
        made_ = false;
    }
    void set_place(const std::string& where) { where_ = where; }

    PolicyOutcome decide(const PolicyView& view) override {
        Decision decision;
        double us = call(view, decision);
        if (us > slow_us()) {  // once may be the machine's fault
            us = std::min(us, call(view, decision));
            if (us > slow_us()) {
                char text[80];
                std::snprintf(text, sizeof text, "is slow: decide() takes %.1f ms, the budget is %lld ms",
                              us / 1000, static_cast<long long>(options_.budget.count()));
                faults_.add(text, where_);
            }
        }
        times_.push_back(us);
        if (rejected_) return Rejected{"reported"};
        if (auto fault = find_fault(view, decision)) {
            faults_.add("decides nonsense: " + *fault, where_);
            return Rejected{*fault};
        }
        return decision;
    }
    void on_event(const PolicyEvent& event) override {
        if (table_.on_event == nullptr) return;
        watch("on_event()", [&] { table_.on_event(self_, &event); });
    }

    Faults& faults() { return faults_; }
    std::vector<double>& times() { return times_; }
    const std::string& where() const { return where_; }

  private:
    double slow_us() const { return 1000.0 * static_cast<double>(options_.budget.count()); }

    template <class Call>
    void watch(const char* what, Call call) {
        std::snprintf(progress_.doing, sizeof progress_.doing, "%s, %s", what, where_.c_str());
        ++progress_.calls;
        try {
            call();
        } catch (const std::exception& error) {
            faults_.add(std::string("throws an exception from ") + what + ": " + error.what(), where_);
            rejected_ = true;
        } catch (...) {
            faults_.add(std::string("throws an exception from ") + what, where_);
            rejected_ = true;
        }
        ++progress_.calls;
    }

    // One decide() with guards around everything; its microseconds.
    double call(const PolicyView& view, Decision& decision) {
        const std::uint32_t count = view.num_sequences;
        GuardedArray<PolicyRow> rows(count);
        GuardedArray<std::uint32_t> victims(count), shed(count);
        GuardedArray<std::uint8_t> actions(count);
        std::vector<PolicySequence> shown(view.sequences, view.sequences + count);
        PolicyView seen = view;
        seen.sequences = shown.data();
        PolicyDecision flat{rows.data(), count,          0,           victims.data(), count,
                            0,           actions.data(), shed.data(), count,          0};
        std::int32_t answer = 0;
        rejected_ = false;
        const auto begin = Clock::now();
        watch("decide()", [&] { answer = table_.decide(self_, &seen, &flat); });
        const std::chrono::duration<double, std::micro> us = Clock::now() - begin;
        const auto fault = [&](const char* what) {
            faults_.add(what, where_);
            rejected_ = true;
        };
        if (!rejected_ && answer != 0) fault("returns an error from decide()");
        if (!rows.intact() || !victims.intact() || !actions.intact() || !shed.intact())
            fault("writes outside the arrays of the decision");
        if (count > 0 && std::memcmp(shown.data(), view.sequences, count * sizeof(PolicySequence)) != 0)
            fault("changes the view");
        if (flat.num_rows > count || flat.num_victims > count || flat.num_shed > count)
            fault("counts more rows, victims or shed sequences than there is room for");
        if (!rejected_) {
            decision = {{rows.data(), rows.data() + flat.num_rows},
                        {victims.data(), victims.data() + flat.num_victims},
                        {actions.data(), actions.data() + flat.num_victims},
                        {shed.data(), shed.data() + flat.num_shed}};
        }
        return us.count();
    }

    const PolicyTable& table_;
    const PolicyCheckOptions& options_;
    TrialProgress& progress_;
    void* self_ = nullptr;
    bool made_ = false;
    bool rejected_ = false;  // the last call has its fault noted
    std::string where_ = "its start";
    Faults faults_;
    std::vector<double> times_;
};

PolicyEvent event_of(PolicyEventKind kind, const PolicySequence& sequence, std::int64_t now,
                     std::int64_t value) {
    return {static_cast<std::uint32_t>(kind), 0, sequence.id, sequence.tenant, now, value};
}

// One state, its sequences told of before and ended after.
void try_state(WatchedPolicy& policy, const PolicyStateSample& state) {
    const PolicyView& view = state.view;
    for (const PolicySequence& s : state.sequences) {
        const bool fresh = s.state == POLICY_WAITING;
        policy.on_event(event_of(fresh ? POLICY_EVENT_ARRIVED : POLICY_EVENT_LIVE, s, view.now_us,
                                 fresh ? s.prompt_tokens : s.generated_tokens));
    }
    policy.decide(view);
    for (const PolicySequence& s : state.sequences)
        policy.on_event(event_of(POLICY_EVENT_FINISHED, s, view.now_us, s.generated_tokens));
}

bool try_states(WatchedPolicy& policy, const PolicyCheckOptions& options) {
    std::mt19937_64 random(options.seed);
    for (std::uint32_t i = 0; i < options.states; ++i) {
        policy.set_place("state " + std::to_string(i));
        if (i % states_per_instance == 0) {
            policy.destroy();
            if (!policy.create()) return false;
        }
        try_state(policy, random_policy_state(random));
    }
    return true;
}

// A scheduler under random load, with a worker that draws the token 1: does everything end, and by its
// decisions?
void try_world(WatchedPolicy& policy, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    const auto upto = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
    SchedulerOptions options;
    options.block_size = 1U << (2 * upto(3));
    options.max_model_len = 60;
    options.num_blocks = 60 / options.block_size + 1 + upto(40);
    options.max_num_batched_tokens = 1 + upto(64);
    options.max_num_seqs = 1 + upto(16);
    Scheduler scheduler(options, policy);
    std::vector<StepPlan> plans;
    std::int64_t now = 1;
    const auto handle = [&](const Event& event) {
        for (Action& action : scheduler.handle(event)) {
            if (auto* execute = std::get_if<Execute>(&action)) plans.push_back(std::move(execute->plan));
        }
    };
    handle(WorkerReady{now, 1});
    SequenceId last = 0;
    for (int operation = 0; operation < 300; ++operation) {
        now += upto(20000);
        if (operation < 200 && upto(4) == 0) {
            SequenceSpec spec;
            spec.id = ++last;
            spec.tenant = upto(3);
            spec.arrival = now;
            spec.priority = static_cast<std::int32_t>(upto(3));
            spec.ttft_target = upto(100000);
            spec.tokens.assign(1 + upto(30), static_cast<TokenId>(upto(2)));
            spec.num_prompt_tokens = static_cast<std::uint32_t>(spec.tokens.size());
            spec.stop.max_tokens = 1 + upto(25);
            handle(RequestArrived{now, std::move(spec)});
        } else if (last > 0 && upto(20) == 0) {
            handle(RequestCancelled{now, 1 + upto(static_cast<std::uint32_t>(last))});
        } else if (!plans.empty()) {
            const StepPlan plan = std::move(plans.front());
            plans.erase(plans.begin());
            StepResult result{1, plan.step, {}, {}, 1000, 0};
            for (const PlanRow& row : plan.rows) {
                if (row.kind == RowKind::sample) result.sampled.push_back({row.id, {1}});
            }
            handle(StepCompleted{now, result});
        }
    }
    if (scheduler.stats().num_rejected_decisions > 0 && scheduler.last_rejection() != "reported")
        policy.faults().add("its decisions do not get a server on: " + scheduler.last_rejection(),
                            policy.where());
}

void try_worlds(WatchedPolicy& policy, const PolicyCheckOptions& options) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        policy.set_place("simulated server " + std::to_string(seed));
        policy.destroy();
        if (!policy.create()) return;
        try_world(policy, options.seed + seed);
    }
}

std::size_t allocated_bytes() { return mallinfo2().uordblks; }

// Memory that grows with every one of `times` runs, after as many to warm up.
template <class Run>
void look_for_a_leak(WatchedPolicy& policy, std::uint32_t times, const char* what, Run run) {
    policy.times().reserve(policy.times().size() + 4 * times);
    for (std::uint32_t i = 0; i < times; ++i) run();
    const std::size_t before = allocated_bytes();
    for (std::uint32_t i = 0; i < times; ++i) run();
    const std::size_t after = allocated_bytes();
    if (after >= before + std::size_t{times} * 8) {
        policy.faults().add(
            "leaks about " + std::to_string((after - before) / times) + " bytes with each " + what,
            policy.where());
    }
}

void try_memory(WatchedPolicy& policy, const PolicyCheckOptions& options) {
    std::mt19937_64 random(options.seed + 1);
    PolicyStateSample state = random_policy_state(random);
    while (state.sequences.size() < 3 || state.sequences.size() > 20) state = random_policy_state(random);
    policy.set_place("the leak test");
    policy.destroy();
    look_for_a_leak(policy, 300, "create() and destroy()", [&] {
        if (policy.create()) try_state(policy, state);
        policy.destroy();
    });
    if (!policy.create()) return;
    std::uint64_t last = 1000;
    look_for_a_leak(policy, 3000, "step and sequence", [&] {
        // Ids are never used twice.
        for (PolicySequence& s : state.sequences) s.id = ++last;
        state.view.now_us += 1000;
        try_state(policy, state);
    });
}

void write_report(WatchedPolicy& policy, int report) {
    std::vector<double>& times = policy.times();
    std::sort(times.begin(), times.end());
    dprintf(report, "numbers %zu %.2f %.2f\n", times.size(), times.empty() ? 0 : times[times.size() / 2],
            times.empty() ? 0 : times.back());
    for (const std::string& line : policy.faults().lines()) dprintf(report, "fault %s\n", line.c_str());
}

}  // namespace

void run_policy_trial(const PolicyCheckOptions& options, TrialProgress& progress, int report) {
    const PolicyTable* table = find_builtin_policy(options.path);
    std::shared_ptr<const PolicyLibrary> library;
    if (table == nullptr) {
        auto opened = PolicyLibrary::open(options.path);
        if (!opened) {
            dprintf(report, "fault %s\n", opened.error().message.c_str());
            return;
        }
        library = *std::move(opened);
        table = &library->table();
    }
    WatchedPolicy policy(*table, options, progress, report);
    if (try_states(policy, options) && !options.calls_only) {
        try_worlds(policy, options);
        try_memory(policy, options);
    }
    write_report(policy, report);
}

}  // namespace troupe
