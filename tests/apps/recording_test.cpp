#include "actors/recording.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "apps/trace_file.hpp"
#include "policies/builtin.hpp"
#include "policies/fcfs.hpp"
#include "tests/catch.hpp"

using namespace troupe;

namespace {

std::string file_name() {
    return (std::filesystem::temp_directory_path() / "troupe_recording_test").string();
}

SchedulerOptions small_options() {
    SchedulerOptions options;
    options.max_num_batched_tokens = 16;
    options.max_num_seqs = 3;
    options.max_model_len = 64;
    options.block_size = 4;
    options.num_blocks = 24;
    options.end_token_ids = {9};
    return options;
}

// Preempted sequences go to host memory, and soon to disk.
SchedulerOptions swapping_options() {
    SchedulerOptions options = small_options();
    options.max_num_seqs = 8;
    options.host_pages = 6;
    options.disk_pages = 60;
    options.host_us_per_block = options.disk_us_per_block = 1;
    return options;
}

// A scheduler that is recorded while it serves: arrivals, steps, preemptions, a cancel, a lost worker, moves,
// a policy that another one replaces.
class RecordedRun {
  public:
    explicit RecordedRun(const SchedulerOptions& options = small_options(), SequenceId num_sequences = 6)
        : recorder_(Recorder::create(file_name()).value()),
          inner_(std::make_shared<TablePolicyPort>(fcfs_policy())) {
        number_ = recorder_->begin("m", options);
        port_ = std::make_unique<RecordedPort>(inner_, *recorder_, number_);
        scheduler_ = std::make_unique<Scheduler>(options, *port_);
        handle(WorkerReady{now_, 1});
        for (SequenceId id = 1; id <= num_sequences; ++id) {
            SequenceSpec spec;
            spec.id = id;
            spec.arrival = now_;
            spec.tokens.assign(5 + 3 * (id % 7), static_cast<TokenId>(id));
            spec.num_prompt_tokens = static_cast<std::uint32_t>(spec.tokens.size());
            spec.stop.max_tokens = 24;
            spec.sampling.seed = 77;
            handle(RequestArrived{now_, spec});
            step();
        }
        handle(RequestCancelled{now_, 5});
        for (int i = 0; i < 8; ++i) step();
        inner_.replace(std::make_shared<TablePolicyPort>(*find_builtin_policy("sjf")));
        handle(PolicyReplaced{now_});
        for (int i = 0; i < 8; ++i) step();
        plans_.clear();
        moves_.clear();
        handle(WorkerLost{now_, 1});
        handle(WorkerReady{now_, 2, true});
        for (int i = 0; i < 1000; ++i) step();
    }
    std::uint64_t num_plans() const { return num_plans_; }
    SwapStats swapped() const { return scheduler_->stats().swap; }

  private:
    void handle(Event event) {
        now_ += 100;
        recorder_->event(number_, event);
        for (const Action& action : scheduler_->handle(event)) {
            if (const auto* execute = std::get_if<Execute>(&action)) {
                recorder_->plan(number_, execute->plan);
                plans_.push_back(execute->plan);
                ++num_plans_;
            } else if (const auto* move = std::get_if<Move>(&action)) {
                moves_.push_back(move->moves);
            }
        }
    }
    // Every third step a move is done.
    void step() {
        if (++num_steps_ % 3 == 0 && !moves_.empty()) {
            const MoveBlocks moves = moves_.front();
            moves_.erase(moves_.begin());
            handle(MoveCompleted{
                now_, {moves.epoch, moves.job, static_cast<std::uint32_t>(moves.moves.size()), 3}});
        }
        if (plans_.empty()) return;
        const StepPlan plan = plans_.front();
        plans_.erase(plans_.begin());
        StepResult result{plan.epoch, plan.step, {}, {}, 50, 0};
        for (const PlanRow& row : plan.rows) result.compute_us += 20 * row.num_new_tokens;
        for (const PlanRow& row : plan.rows)
            if (row.kind == RowKind::sample)
                result.sampled.push_back({row.id, {static_cast<TokenId>(plan.step % 7)}, {}});
        handle(StepCompleted{now_, result});
    }

    std::shared_ptr<Recorder> recorder_;
    PolicySlot inner_;
    std::uint32_t number_ = 0;
    std::unique_ptr<RecordedPort> port_;
    std::unique_ptr<Scheduler> scheduler_;
    std::vector<StepPlan> plans_;
    std::vector<MoveBlocks> moves_;
    std::uint64_t num_plans_ = 0, num_steps_ = 0;
    TimeUs now_ = 1000;
};

std::string bytes_of_run() {
    { RecordedRun run; }
    std::ifstream file(file_name(), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void write(const std::string& bytes) { std::ofstream(file_name(), std::ios::binary) << bytes; }

}  // namespace

TEST_CASE("a recording replays to the same plans") {
    std::uint64_t plans = 0;
    {
        RecordedRun run;
        plans = run.num_plans();
    }
    const Recording recording = read_recording(file_name()).value();
    CHECK(recording.fault.empty());
    REQUIRE(recording.schedulers.size() == 1);
    CHECK(recording.schedulers[0].model == "m");
    const ReplayResult result = replay(recording.schedulers[0]);
    CHECK_FALSE(result.difference.has_value());
    CHECK(result.plans == plans);
    CHECK(plans > 20);
    CHECK(result.events == recording.schedulers[0].events.size());
}

TEST_CASE("a replay that differs says where first") {
    { RecordedRun run; }
    RecordedScheduler recorded = read_recording(file_name()).value().schedulers[0];
    RecordedScheduler other = recorded;
    other.options.num_blocks -= 5;
    const auto difference = replay(other).difference;
    REQUIRE(difference.has_value());
    CHECK(difference->find("event ") == 0);
    other = recorded;
    for (RecordedEvent& one : other.events) {
        if (one.plans.empty() || one.plans[0].rows.size() < 2) continue;
        one.plans[0].rows[1].num_new_tokens += 1;
        break;
    }
    CHECK(replay(other).difference->find("rows: recorded [{sequence") != std::string::npos);
    other = recorded;
    for (RecordedEvent& one : other.events) one.outcomes.clear();
    CHECK(replay(other).difference.has_value());
}

TEST_CASE("a recording with swapping and another policy replays, and shows the first difference") {
    std::uint64_t plans = 0;
    {
        RecordedRun run(swapping_options(), 40);
        plans = run.num_plans();
        CHECK(run.swapped().blocks_out > 0);
        CHECK(run.swapped().blocks_in > 0);
        CHECK(run.swapped().blocks_spilled > 0);
    }
    const RecordedScheduler recorded = read_recording(file_name()).value().schedulers[0];
    CHECK(recorded.options == swapping_options());
    const ReplayResult result = replay(recorded);
    CHECK(result.difference.value_or("none") == "none");
    CHECK(result.plans == plans);
    const auto first = [](const auto& events, auto is_it) {
        return static_cast<std::size_t>(std::find_if(events.begin(), events.end(), is_it) - events.begin());
    };
    // What was loaded did not arrive: what is found in the cache is not the same any more.
    RecordedScheduler other = recorded;
    for (RecordedEvent& one : other.events)
        if (auto* moved = std::get_if<MoveCompleted>(&one.event)) moved->done.num_moved = 0;
    const std::size_t first_move = first(recorded.events, [](const RecordedEvent& one) {
        return std::holds_alternative<MoveCompleted>(one.event);
    });
    REQUIRE(first_move < recorded.events.size());
    const ReplayResult lost = replay(other);
    REQUIRE(lost.difference.has_value());
    CHECK(lost.events > first_move);
    CHECK(lost.difference->find("recorded ") != std::string::npos);
    // Without tiers nothing comes back.
    other = recorded;
    other.options.host_pages = other.options.disk_pages = 0;
    CHECK(replay(other).difference.has_value());
    // Another answer of the second policy: the difference is there, and not before.
    other = recorded;
    const std::size_t replaced = first(recorded.events, [](const RecordedEvent& one) {
        return std::holds_alternative<PolicyReplaced>(one.event);
    });
    REQUIRE(replaced < recorded.events.size());
    std::size_t at = replaced;
    for (; at < other.events.size(); ++at) {
        auto& outcomes = other.events[at].outcomes;
        auto* decision = outcomes.empty() ? nullptr : std::get_if<Decision>(&outcomes[0]);
        const auto& plans_of_it = other.events[at].plans;
        if (decision == nullptr || decision->rows.size() < 2 || plans_of_it.empty() ||
            plans_of_it[0].rows.size() != decision->rows.size())
            continue;
        decision->rows.pop_back();
        break;
    }
    REQUIRE(at < other.events.size());
    const ReplayResult changed = replay(other);
    REQUIRE(changed.difference.has_value());
    CHECK(changed.events == at + 1);
    CHECK(changed.difference->find("event " + std::to_string(at + 1) + " (") == 0);
}

TEST_CASE("events have names for messages") {
    CHECK(std::string(event_name(PolicyReplaced{})) == "PolicyReplaced");
    CHECK(std::string(event_name(MoveCompleted{})) == "MoveCompleted");
    CHECK(std::string(event_name(StepCompleted{})) == "StepCompleted");
}

TEST_CASE("a truncated recording is read as far as it goes, and says so") {
    const std::string whole = bytes_of_run();
    std::uint64_t most_plans = 0;
    for (std::size_t length = 20; length < whole.size(); length += 37) {
        write(whole.substr(0, length));
        const auto recording = read_recording(file_name());
        REQUIRE(recording.ok());
        CHECK(recording->fault.find("truncated") != std::string::npos);
        for (const RecordedScheduler& scheduler : recording->schedulers) {
            const ReplayResult result = replay(scheduler);
            CHECK(result.difference.value_or("none") == "none");
            CHECK(result.plans >= most_plans);  // the longer, the more
            most_plans = result.plans;
        }
    }
    CHECK(most_plans > 20);
}

TEST_CASE("a recording as a trace has what policies look at, of one model") {
    {
        const auto recorder = Recorder::create(file_name()).value();
        const auto a = recorder->begin("a", small_options()), b = recorder->begin("b", small_options());
        const auto request = [&](std::uint32_t scheduler, SequenceId id, std::uint64_t tenant,
                                 const std::string& salt, TimeUs target) {
            SequenceSpec spec;
            spec.id = id;
            spec.tenant = tenant;
            spec.arrival = static_cast<TimeUs>(1000 + id);
            spec.priority = static_cast<std::int32_t>(id);
            spec.cache_salt = salt;
            spec.ttft_target = target;
            spec.tpot_target = target / 10;
            spec.tokens.assign(16, 7);
            spec.num_prompt_tokens = 16;
            spec.stop.max_tokens = 5;
            recorder->event(scheduler, RequestArrived{spec.arrival, spec});
            recorder->event(scheduler, StepCompleted{spec.arrival, {1, id, {{id, {3}, {}}}, {}, 50, 0}});
        };
        constexpr std::uint64_t large = 1ULL << 40;
        request(a, 1, large, "", 0);
        request(a, 2, large + 7, "x", 500'000);
        request(b, 3, 5, "z", 0);
        request(a, 4, large + 7, "y", 900'000);
        request(a, 5, large, "x", 0);
    }
    const auto either = read_trace(file_name());
    REQUIRE_FALSE(either.ok());
    CHECK(either.error().message.find("a, b; choose one with --trace-model") != std::string::npos);
    CHECK(read_trace(file_name(), "c").error().message.find("it is of a, b") != std::string::npos);
    CHECK(read_trace(file_name(), "b").value().requests.size() == 1);
    const auto requests = read_trace(file_name(), "a").value().requests;
    REQUIRE(requests.size() == 4);
    const std::uint32_t tenants[] = {0, 1, 1, 0}, salts[] = {0, 1, 2, 1};
    const TimeUs targets[] = {0, 500'000, 900'000, 0};
    for (std::size_t i = 0; i < 4; ++i) {
        CHECK(requests[i].tenant == tenants[i]);
        CHECK(requests[i].cache_salt == salts[i]);
        CHECK(requests[i].ttft_target == targets[i]);
        CHECK(requests[i].tpot_target == targets[i] / 10);
    }
    std::filesystem::remove(file_name());
}

TEST_CASE("what is no recording is an error, and no bytes crash the reader") {
    write("hello");
    CHECK_FALSE(read_recording(file_name()).ok());
    CHECK_FALSE(is_recording(file_name()));
    write("troupe-recording 99\n");
    CHECK(read_recording(file_name()).error().message.find("version") != std::string::npos);
    CHECK_FALSE(read_recording("/nonexistent").ok());
    const std::string whole = bytes_of_run();
    for (std::size_t at = 20; at < std::min<std::size_t>(whole.size(), 4000); at += 3) {
        std::string broken = whole;
        broken[at] = static_cast<char>(broken[at] ^ 0x55);
        write(broken);
        if (const auto recording = read_recording(file_name())) {
            for (const RecordedScheduler& scheduler : recording->schedulers) replay(scheduler);
        }
    }
    std::filesystem::remove(file_name());
}

TEST_CASE("a recorder that cannot keep up ends the recording and says so") {
    {
        const auto recorder = Recorder::create(file_name(), 200).value();
        const auto number = recorder->begin("m", small_options());
        RequestArrived event;
        event.spec.tokens.assign(1000, 7);
        recorder->event(number, event);
        recorder->event(number, WorkerReady{1, 1});
    }
    const auto recording = read_recording(file_name()).value();
    CHECK(recording.fault.find("given up") != std::string::npos);
    CHECK(recording.schedulers[0].events.empty());
    CHECK_FALSE(Recorder::create("/nonexistent/file").ok());
}
