// Law 3 of the design from end to end: whatever happens around a sequence, each of its tokens is drawn from
// the very bits of logits that it would have had alone. The real scheduler, mirror and CPU backend run a
// small quantized model; each logits row that a step computes is compared with one computed by hand, with no
// scheduler at all. Only the clock is missing: the order of things is given by a seed.
#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <random>

#include "engine/input_batch.hpp"
#include "engine/scheduler.hpp"
#include "model/logprobs.hpp"
#include "model/rope.hpp"
#include "model/sampling.hpp"
#include "policies/fcfs.hpp"
#include "tests/catch.hpp"
#include "tests/cpu/random_model.hpp"

namespace troupe {
namespace {

using Logits = std::vector<float>;

bool same_bits(const Logits& a, const Logits& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

const std::vector<TokenId> end_tokens = {3, 31, 59, 88, 107, 127, 158, 200, 241, 286, 311, 330};

struct Load {
    SequenceSpec spec;
    int arrival_step = 0;  // it comes when that many steps have been executed
};

// Later ones that begin as one before them did: all of its prompt, up to within a block, from a block's end.
void add_conversations(std::vector<Load>& load) {
    struct Shape {
        std::size_t of, same;  // whose prompt, and how many of its tokens
        std::uint32_t more, max_tokens;
        int arrival_step;
    };
    const Shape shapes[] = {{3, 200, 20, 12, 5}, {4, 16, 0, 20, 10},  {5, 40, 9, 30, 12},
                            {0, 37, 12, 20, 20}, {3, 250, 0, 10, 30}, {1, 150, 0, 8, 40}};
    for (const Shape& shape : shapes) {
        Load made = load[shape.of];
        SequenceSpec& spec = made.spec;
        made.arrival_step = shape.arrival_step;
        spec.id = load.size() + 1;
        spec.arrival = shape.arrival_step;
        spec.tokens.resize(shape.same);
        const auto more = random_ids(shape.more, static_cast<unsigned>(spec.id));
        spec.tokens.insert(spec.tokens.end(), more.begin(), more.end());
        spec.num_prompt_tokens = static_cast<std::uint32_t>(spec.tokens.size());
        spec.sampling.prompt_logprobs = -1;
        spec.sampling.seed = spec.id;
        spec.stop.max_tokens = shape.max_tokens;
        load.push_back(std::move(made));
    }
}

std::vector<Load> make_load() {
    struct Shape {
        std::uint32_t prompt, max_tokens;
        int arrival_step;
        float temperature;
        bool ignore_eos;
    };
    const Shape shapes[] = {{37, 110, 0, 0.0F, true}, {150, 90, 0, 0.8F, true}, {1, 90, 1, 1.0F, true},
                            {250, 14, 2, 0.0F, true}, {16, 40, 4, 1.5F, false}, {63, 80, 4, 0.7F, true},
                            {90, 1, 7, 1.0F, true},   {5, 60, 12, 2.0F, false}};
    std::vector<Load> load;
    for (const Shape& shape : shapes) {
        const auto id = static_cast<SequenceId>(load.size() + 1);
        Load& made = load.emplace_back();
        made.arrival_step = shape.arrival_step;
        made.spec.id = id;
        made.spec.arrival = shape.arrival_step;
        made.spec.tokens = random_ids(shape.prompt, static_cast<unsigned>(id));
        made.spec.num_prompt_tokens = shape.prompt;
        made.spec.sampling.temperature = shape.temperature;
        made.spec.sampling.top_p = id % 3 == 0 ? 0.9F : 1.0F;
        made.spec.sampling.seed = 1000 + id;
        if (id % 2 == 0) {  // what looks at the sequence's other tokens, and not at the logits alone
            made.spec.sampling.repetition_penalty = 1.3F;
            made.spec.sampling.frequency_penalty = 0.25F;
            made.spec.sampling.typical_p = 0.9F;
            made.spec.sampling.xtc_probability = 0.5F;
            made.spec.sampling.min_tokens = 3;
            made.spec.sampling.end_tokens = end_tokens;
            made.spec.sampling.logit_bias = {{5, 2.0F}, {6, -100.0F}};
        }
        if (id % 3 == 0) {
            made.spec.sampling.logprobs = 1;
            made.spec.sampling.prompt_logprobs = 2;
        }
        made.spec.stop = {shape.max_tokens, shape.ignore_eos, {}};
    }
    // and more choices of one's prompt
    for (std::uint32_t choice = 1; choice < 4; ++choice) {
        Load made = load[1];
        made.spec.id = load.size() + 1;
        made.spec.sampling.choice = choice;
        made.spec.sampling.temperature = 0.9F;
        load.push_back(std::move(made));
    }
    add_conversations(load);
    std::stable_sort(load.begin(), load.end(),
                     [](const Load& a, const Load& b) { return a.arrival_step < b.arrival_step; });
    return load;
}

// What a sequence generates alone: prompt in one step, then token by token.
struct Reference {
    std::uint32_t first_position = 0;
    std::vector<TokenId> tokens;                // generated
    std::vector<Logits> logits;                 // from which each was drawn
    std::vector<PositionLogprobs> prompt = {};  // of its tokens from the second on, if wanted
};

// How the model computes.
struct Mode {
    const char* name;
    Compute compute = Compute::automatic;
    std::optional<KvType> kv = {};
};

Reference run_alone(const RandomModel& model, const Mode& mode, const SequenceSpec& spec) {
    TestRunner runner(model, {.compute = mode.compute, .kv = mode.kv});
    Reference made{spec.num_prompt_tokens, {}, {}, {}};
    std::vector<TokenId> ids = spec.tokens;
    ids.resize(ids.size() + spec.stop.max_tokens);  // room for what comes
    TestSequence sequence = runner.sequence(ids);
    sequence.prompt = spec.num_prompt_tokens;
    Sampler sampler;
    std::size_t new_tokens = spec.num_prompt_tokens;
    while (made.tokens.size() < spec.stop.max_tokens) {
        auto rows = runner.step({{&sequence, new_tokens}});
        for (std::size_t i = 0; spec.sampling.prompt_logprobs >= 0 && i + 1 < new_tokens; ++i)
            made.prompt.push_back(LogprobsMaker().make(rows[i], ids[i + 1], 2));
        made.logits.push_back(std::move(rows.back()));
        const auto position = static_cast<std::uint32_t>(sequence.computed);
        const std::vector<TokenId> history(sequence.ids.begin(), sequence.ids.begin() + position);
        const TokenId token = sampler.sample(
            made.logits.back(), {spec.sampling, position, spec.num_prompt_tokens, no_token, history});
        made.tokens.push_back(token);
        sequence.ids[position] = token;
        new_tokens = 1;
        const bool ends = std::find(end_tokens.begin(), end_tokens.end(), token) != end_tokens.end();
        if (ends && !spec.stop.ignore_eos) break;
    }
    return made;
}

struct Circumstances {
    const char* name;
    std::uint32_t steps_in_flight = 1;
    std::uint32_t budget = 1024;
    std::uint32_t block_size = 16;
    std::uint32_t num_blocks = 200;
    unsigned threads = 1;
    std::vector<int> worker_dies_in = {};  // numbers of executed steps
    std::uint32_t host_pages = 0;          // below the pool
    std::uint32_t disk_pages = 0;
};

// A scheduler, and a worker that may be a step ahead of what the scheduler has heard of.
class Scenario {
  public:
    Scenario(const RandomModel& model, const Mode& mode, const Circumstances& around,
             const std::map<SequenceId, Reference>& references)
        : around_(around),
          references_(references),
          pool_(std::make_shared<ComputePool>(around.threads)),
          model_(CpuModel::prepare(model.spec, model.weights, mode.compute, *pool_, best_kernel_path(), {},
                                   mode.kv)),
          policy_(fcfs_policy()),
          scheduler_(options(around), policy_) {}

    void run(const std::vector<Load>& load, unsigned seed) {
        std::mt19937 random(seed);
        auto next = load.begin();
        start_worker();
        while (next != load.end() || !received_.empty() || !planned_.empty() || !unheard_.empty() ||
               !moves_.empty()) {
            const bool idle = planned_.empty() && unheard_.empty() && moves_.empty();
            if (next != load.end() && (next->arrival_step <= executed_ || idle)) {
                received_[next->spec.id];
                handle(RequestArrived{now_, next->spec});
                ++next;
            } else if (!moves_.empty() && (random() % 4 == 0 || (planned_.empty() && unheard_.empty()))) {
                move();
            } else if (!planned_.empty() && (unheard_.empty() || random() % 2 == 0)) {
                execute();
            } else {
                REQUIRE(!unheard_.empty());  // or sequences live on and nothing is in flight
                const StepResult result = std::move(unheard_.front());
                unheard_.pop_front();
                handle(StepCompleted{now_, result});
            }
        }
    }

    SchedulerStats stats() const { return scheduler_.stats(); }
    int rows_ahead() const { return rows_ahead_; }
    int chunks() const { return chunks_; }
    int prompt_logprobs() const { return prompt_logprobs_; }
    std::uint32_t shared_tokens() const { return shared_tokens_; }
    std::size_t copies() const { return copies_; }
    std::size_t num_finished() const { return num_finished_; }

  private:
    static SchedulerOptions options(const Circumstances& around) {
        SchedulerOptions made;
        made.max_num_batched_tokens = around.budget;
        made.block_size = around.block_size;
        made.num_blocks = around.num_blocks;
        made.max_steps_in_flight = around.steps_in_flight;
        made.end_token_ids = end_tokens;
        made.host_pages = around.host_pages;
        made.disk_pages = around.disk_pages;
        made.host_us_per_block = made.disk_us_per_block = 1;
        return made;
    }

    void start_worker() {
        cache_ = std::make_shared<CpuKvPool>(KvLayout(model_->spec(), model_->kv_type(), around_.block_size),
                                             around_.num_blocks);
        // NaNs: whatever is read before it was written shows.
        std::memset(cache_->block(0), 0xFF, cache_->num_blocks() * cache_->bytes_per_block());
        backend_ = std::make_unique<CpuBackend>(model_, cache_, pool_);
        mirror_ = std::make_unique<InputBatch>(around_.block_size, around_.num_blocks);
        handle(WorkerReady{now_, ++epoch_, true});
    }

    void execute() {
        const StepPlan plan = std::move(planned_.front());
        planned_.pop_front();
        auto batch = mirror_->begin(plan);
        REQUIRE(batch.ok());
        backend_->copy_blocks(plan.copies);
        ForwardOutput output;
        backend_->execute(*batch, output);
        auto result = mirror_->complete(output.tokens, output.logprobs);
        REQUIRE(result.ok());
        result->compute_us = static_cast<TimeUs>(1000 * batch->input_ids.size());  // so that swapping pays
        compare(*batch, *result, output.logits);
        for (const StepResult& unheard : unheard_) {
            for (const SampledTokens& sampled : unheard.sampled) {
                for (const PlanRow& row : plan.rows) rows_ahead_ += row.id == sampled.id ? 1 : 0;
            }
        }
        for (const AddedSequence& added : plan.added) shared_tokens_ += added.num_computed_tokens;
        copies_ += plan.copies.size();
        for (const PlanRow& row : plan.rows) chunks_ += row.kind == RowKind::chunk ? 1 : 0;
        const auto& deaths = around_.worker_dies_in;
        const bool dies = std::find(deaths.begin(), deaths.end(), ++executed_) != deaths.end();
        if (!dies) {
            unheard_.push_back(std::move(*result));
            return;
        }
        planned_.clear();
        unheard_.clear();
        moves_.clear();
        handle(WorkerLost{now_, epoch_});
        start_worker();
    }

    // The oldest job, as late as its blocks are still needed.
    void move() {
        const MoveBlocks job = std::move(moves_.front());
        moves_.pop_front();
        for (const auto& [from, to] : job.moves) {
            std::vector<std::byte> bytes(cache_->bytes_per_block());
            if (from.tier == Tier::device) {
                cache_->read_block(from.slot, bytes);
            } else {
                bytes = pages_.at({from.tier, from.slot});
            }
            if (to.tier == Tier::device) {
                cache_->write_block(to.slot, bytes);
            } else {
                pages_[{to.tier, to.slot}] = std::move(bytes);
            }
        }
        handle(MoveCompleted{now_, {job.epoch, job.job, static_cast<std::uint32_t>(job.moves.size()), 1}});
    }

    void compare(const ForwardBatch& batch, const StepResult& result, const float* logits) {
        const std::size_t vocab = model_->spec().vocab_size;
        auto sampled = result.sampled.begin();
        for (std::size_t i = 0; i < batch.sampling.size(); ++i) {
            if (batch.sampling[i].given != no_token) continue;
            const SampledTokens& row = *sampled++;
            const Reference& alone = references_.at(row.id);
            const std::size_t nth = batch.sampling[i].position - alone.first_position;
            if (nth >= alone.logits.size()) continue;  // ahead of an end that the scheduler had not heard of
            INFO("sequence " << row.id << ", generated token " << nth);
            REQUIRE(same_bits({logits + i * vocab, logits + (i + 1) * vocab}, alone.logits[nth]));
            if (batch.sampling[i].params.logprobs < 0) continue;
            REQUIRE(row.logprobs.at(0) == LogprobsMaker().make(alone.logits[nth], row.tokens.at(0), 1));
        }
    }

    void compare(const PromptLogprobs& prompt) {
        const auto& alone = references_.at(prompt.id).prompt;
        for (std::size_t i = 0; i < prompt.entries.size(); ++i) {
            INFO("sequence " << prompt.id << ", prompt token " << prompt.position + i);
            REQUIRE(prompt.entries[i] == alone.at(prompt.position - 1 + i));
            ++prompt_logprobs_;
        }
    }

    void handle(const Event& event) {
        ++now_;
        for (Action& action : scheduler_.handle(event)) {
            if (auto* plan = std::get_if<Execute>(&action)) {
                planned_.push_back(std::move(plan->plan));
            } else if (const auto* emitted = std::get_if<EmitToken>(&action)) {
                auto& tokens = received_.at(emitted->sequence);
                tokens.insert(tokens.end(), emitted->tokens.begin(), emitted->tokens.end());
            } else if (const auto* scored = std::get_if<EmitPromptLogprobs>(&action)) {
                compare(scored->prompt);
            } else if (const auto* ended = std::get_if<Finish>(&action)) {
                REQUIRE(ended->reason != FinishReason::failed);
                REQUIRE(received_.at(ended->sequence) == references_.at(ended->sequence).tokens);
                received_.erase(ended->sequence);
                ++num_finished_;
            } else if (auto* moves = std::get_if<Move>(&action)) {
                moves_.push_back(std::move(moves->moves));
            } else {
                REQUIRE(std::holds_alternative<Preempted>(action));
            }
        }
        REQUIRE_NOTHROW(scheduler_.check_invariants());
    }

    const Circumstances& around_;
    const std::map<SequenceId, Reference>& references_;
    std::shared_ptr<ComputePool> pool_;
    std::shared_ptr<const CpuModel> model_;
    TablePolicyPort policy_;
    Scheduler scheduler_;
    std::shared_ptr<CpuKvPool> cache_;
    std::unique_ptr<CpuBackend> backend_;
    std::unique_ptr<InputBatch> mirror_;
    std::map<std::pair<Tier, BlockId>, std::vector<std::byte>> pages_;
    std::deque<MoveBlocks> moves_;
    std::deque<StepPlan> planned_;                         // not yet executed
    std::deque<StepResult> unheard_;                       // executed, and not yet told to the scheduler
    std::map<SequenceId, std::vector<TokenId>> received_;  // of live sequences
    Epoch epoch_ = 0;
    TimeUs now_ = 0;
    int executed_ = 0;
    int rows_ahead_ = 0;               // executed before the scheduler heard of the token that they read
    int chunks_ = 0;                   // rows that did not reach their sequence's last token
    int prompt_logprobs_ = 0;          // that came
    std::uint32_t shared_tokens_ = 0;  // whose KV was taken over from another sequence
    std::size_t copies_ = 0;           // of a block whose beginning was taken over
    std::size_t num_finished_ = 0;
};

// Runs the load in these circumstances with each type of weights, in each compute mode; `happened` says
// whether what is to be tried did happen.
template <class F>
void equals_alone(const Circumstances& around, F happened) {
    std::vector<Load> load = make_load();
    for (const DType type : {DType::q8_0, DType::q4_0}) {
        RandomModel model(type);
        if (type == DType::q4_0) {  // what else in a model could see more than a sequence's own past
            model.spec.layers[0].sliding_window = 50;
            model.spec.ropes[0].type = RopeType::dynamic;
            model.spec.ropes[0].factor = 2.0;
            model.spec.ropes[0].original_max_position = 60;
        }
        for (Load& one : load)
            one.spec.cache_salt = rope_dependence(model.spec.ropes, one.spec.num_prompt_tokens);
        const Mode other_kv = type == DType::q8_0 ? Mode{.name = "int8 KV", .kv = KvType::int8}
                                                  : Mode{.name = "bf16 KV", .kv = KvType::bf16};
        for (const Mode& mode :
             {Mode{.name = "automatic"}, Mode{.name = "f32", .compute = Compute::f32}, other_kv}) {
            std::map<SequenceId, Reference> references;
            bool early_end = false;
            for (const Load& one : load) {
                const Reference& alone = references[one.spec.id] = run_alone(model, mode, one.spec);
                early_end = early_end || alone.tokens.size() < one.spec.stop.max_tokens;
            }
            CHECK(early_end);  // or the load misses steps planned beyond an end
            for (unsigned seed = 1; seed <= 3; ++seed) {
                INFO(around.name << ", " << dtype_name(type) << " " << mode.name << ", seed " << seed);
                Scenario scenario(model, mode, around, references);
                scenario.run(load, seed);
                CHECK(scenario.num_finished() == load.size());
                CHECK(scenario.stats().free_blocks == around.num_blocks);
                CHECK(scenario.prompt_logprobs() > 50);
                CHECK(scenario.shared_tokens() > 0);
                CHECK(happened(scenario));
            }
        }
    }
}

}  // namespace

TEST_CASE("Logits in a batch equal those alone, with run-ahead and without") {
    equals_alone({.name = "one step in flight"}, [](const Scenario& s) { return s.rows_ahead() == 0; });
    equals_alone({.name = "two", .steps_in_flight = 2},
                 [](const Scenario& s) { return s.rows_ahead() > 20; });
    equals_alone({.name = "three", .steps_in_flight = 3},
                 [](const Scenario& s) { return s.rows_ahead() > 20; });
}

TEST_CASE("Logits after a worker's loss equal those of an undisturbed run") {
    const std::vector<int> deaths = {1, 9, 17, 30};
    const auto recovered = [](const Scenario& s) { return s.stats().num_recovered_sequences >= 10; };
    equals_alone({.name = "one step in flight", .worker_dies_in = deaths}, recovered);
    equals_alone({.name = "two", .steps_in_flight = 2, .worker_dies_in = deaths}, recovered);
}

TEST_CASE("Logits after preemptions equal those of an undisturbed run") {
    const auto preempted = [](const Scenario& s) { return s.stats().num_preemptions >= 3; };
    equals_alone({.name = "one step in flight", .num_blocks = 17}, preempted);
    equals_alone({.name = "two", .steps_in_flight = 2, .num_blocks = 17}, preempted);
}

TEST_CASE("Logits after KV that others computed equal those alone, whatever the blocks' size and number") {
    // As many tokens as the longest sequence may have; some more; and ample.
    for (const std::uint32_t tokens : {272U, 512U, 4096U}) {
        for (const std::uint32_t block_size : {1U, 2U, 16U, 64U}) {
            const std::uint32_t blocks = (tokens + block_size - 1) / block_size;
            equals_alone({.name = "shared prefixes",
                          .steps_in_flight = 2,
                          .block_size = block_size,
                          .num_blocks = blocks},
                         [&](const Scenario& s) {
                             return s.stats().num_prefix_hits > (tokens == 4096 ? 400U : 100U) &&
                                    (block_size == 1 || s.copies() > 0);
                         });
        }
    }
}

TEST_CASE("Logits after KV was swapped out and in equal those of an undisturbed run") {
    const auto swapped = [](const Scenario& s) {
        return s.stats().num_preemptions >= 3 && s.stats().swap.blocks_in >= 1;
    };
    equals_alone({.name = "host memory", .num_blocks = 17, .host_pages = 60}, swapped);
    equals_alone({.name = "two steps in flight, both tiers",
                  .steps_in_flight = 2,
                  .budget = 64,
                  .block_size = 4,
                  .num_blocks = 68,
                  .host_pages = 60,
                  .disk_pages = 240},
                 swapped);
    equals_alone({.name = "small blocks, disk, dying workers",
                  .steps_in_flight = 2,
                  .budget = 64,
                  .block_size = 4,
                  .num_blocks = 68,
                  .worker_dies_in = {20, 60, 100},
                  .disk_pages = 240},
                 swapped);
}

TEST_CASE("Logits do not depend on the token budget") {
    for (const std::uint32_t budget : {3U, 7U, 64U}) {
        equals_alone({.name = "small budget", .steps_in_flight = 2, .budget = budget},
                     [](const Scenario& s) { return s.chunks() >= 5; });
    }
}

TEST_CASE("Logits with all of it at once, and two threads, equal those alone") {
    equals_alone({.name = "all at once",
                  .steps_in_flight = 2,
                  .budget = 23,
                  .block_size = 5,
                  .num_blocks = 53,
                  .threads = 2,
                  .worker_dies_in = {2, 12, 40, 70}},
                 [](const Scenario& s) {
                     return s.rows_ahead() > 0 && s.stats().num_preemptions > 0 &&
                            s.stats().num_recovered_sequences > 0;
                 });
}

}  // namespace troupe
