// Forked sequences through the whole path: manager -> StepPlan -> mirror -> model. Parent and children write
// to what was one block, in any order, and every one of them gets the tokens of a run alone.
#include <algorithm>
#include <random>

#include "engine/input_batch.hpp"
#include "kvcache/kv_cache_manager.hpp"
#include "tests/catch.hpp"
#include "tests/engine/fake_model.hpp"

namespace troupe::test {
namespace {

struct Branch {
    SequenceSpec spec;  // tokens grow
    KvCacheManager::TableHandle table = 0;
    std::uint32_t computed = 0;
    bool added = false;
};

struct ForkWorld {
    ForkWorld(std::uint32_t block_size, std::uint32_t num_blocks)
        : kv({num_blocks, block_size}), mirror(block_size, num_blocks), model(block_size, num_blocks) {}

    // Computes what each of `branches` has left, and appends the token it samples.
    void step(const std::vector<Branch*>& branches) {
        StepPlan plan;
        plan.epoch = 1;
        plan.step = ++last_step;
        for (Branch* branch : branches) {
            const auto count = static_cast<std::uint32_t>(branch->spec.tokens.size()) - branch->computed;
            auto reservation = kv.extend(branch->table, count, plan.step);
            REQUIRE(reservation);
            if (!branch->added) {
                plan.added.push_back({branch->spec.id, branch->spec.tokens, branch->spec.num_prompt_tokens,
                                      branch->computed, branch->spec.sampling,
                                      kv.block_table(branch->table)});
            } else if (!reservation->new_blocks.empty()) {
                plan.grown.push_back({branch->spec.id, reservation->new_blocks, reservation->num_replaced});
            }
            if (reservation->copy) plan.copies.push_back(*reservation->copy);
            plan.rows.push_back({branch->spec.id, count, RowKind::sample});
            branch->added = true;
            branch->computed += count;
        }
        auto batch = mirror.begin(plan);
        REQUIRE(batch.ok());
        model.copy_blocks(plan.copies);
        const auto sampled = model.execute(*batch);
        auto result = mirror.complete(sampled);
        REQUIRE(result.ok());
        for (std::size_t i = 0; i < branches.size(); ++i) branches[i]->spec.tokens.push_back(sampled[i]);
        kv.end_step(plan.step);
        kv.check_invariants();
        num_copies += plan.copies.size();
    }

    KvCacheManager kv;
    InputBatch mirror;
    FakeModel model;
    StepId last_step = 0;
    std::size_t num_copies = 0;
};

TEST_CASE("forked sequences share their prompt and generate as if each were alone") {
    std::mt19937 random(1);
    std::size_t copies = 0;
    for (std::uint32_t block_size : {1U, 4U, 16U}) {
        for (std::uint32_t prompt : {1U, 7U, 8U, 15U, 16U, 33U}) {
            ForkWorld world(block_size, 400);
            std::vector<Branch> branches(4);
            Branch& parent = branches[0];
            parent.spec.id = 1;
            for (std::uint32_t i = 0; i < prompt; ++i)
                parent.spec.tokens.push_back(static_cast<TokenId>(random() % 3));
            parent.spec.num_prompt_tokens = prompt;
            parent.spec.stop = {.max_tokens = 40, .ignore_eos = true, .stop_token_ids = {}};
            parent.table = world.kv.create();
            const SequenceSpec spec = parent.spec;
            world.step({&parent});
            const std::uint32_t used = 400 - world.kv.num_free();
            // A fork takes over all tokens and their KV; then each draws by a seed of its own.
            std::vector<Reference> alone = {run_alone(spec, {}, 1000)};
            for (std::uint32_t choice = 1; choice < 4; ++choice) {
                Branch& child = branches[choice];
                child = parent;
                child.added = false;
                child.spec.id = 1 + choice;
                child.spec.num_prompt_tokens = prompt + 1;
                child.spec.sampling.seed = choice;
                child.table = world.kv.fork(parent.table, prompt);
                alone.push_back(run_alone(child.spec, {}, 1000));
            }
            CHECK(400 - world.kv.num_free() == used);
            while (parent.spec.tokens.size() < prompt + 30) {
                std::vector<Branch*> turn;
                for (Branch& branch : branches) {
                    if (branch.spec.tokens.size() < prompt + 30 && random() % 3 != 0) turn.push_back(&branch);
                }
                std::shuffle(turn.begin(), turn.end(), random);
                if (!turn.empty()) world.step(turn);
            }
            for (std::size_t i = 0; i < branches.size(); ++i) {
                const SequenceSpec& done = branches[i].spec;
                const std::vector<TokenId> generated(done.tokens.begin() + done.num_prompt_tokens,
                                                     done.tokens.end());
                CHECK(std::equal(generated.begin(), generated.end(), alone[i].generated.begin()));
                world.kv.release(branches[i].table);
            }
            CHECK(world.kv.num_free() == 400);
            copies += world.num_copies;
        }
    }
    CHECK(copies > 20);
}

}  // namespace
}  // namespace troupe::test
