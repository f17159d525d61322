#include "engine/input_batch.hpp"

#include "tests/catch.hpp"

namespace troupe {
namespace {

AddedSequence added(SequenceId id, std::vector<TokenId> tokens, std::vector<BlockId> blocks) {
    AddedSequence sequence;
    sequence.id = id;
    sequence.num_prompt_tokens = static_cast<std::uint32_t>(tokens.size());
    sequence.tokens = std::move(tokens);
    sequence.block_table = std::move(blocks);
    return sequence;
}

StepPlan plan_of(StepId step, std::vector<PlanRow> rows) {
    StepPlan plan;
    plan.epoch = 1;
    plan.step = step;
    plan.rows = std::move(rows);
    return plan;
}

TEST_CASE("a mixed step is laid out flat, and sampled tokens become the next step's input") {
    InputBatch mirror(2, 8);
    StepPlan first = plan_of(1, {{7, 3, RowKind::sample}, {9, 2, RowKind::chunk}});
    first.added = {added(7, {10, 11, 12}, {4, 1}), added(9, {20, 21, 22, 23}, {3})};
    first.added[0].sampling.seed = 5;
    auto batch = mirror.begin(first);
    REQUIRE(batch.ok());
    CHECK(batch->input_ids == std::vector<TokenId>{10, 11, 12, 20, 21});
    CHECK(batch->positions == std::vector<std::int32_t>{0, 1, 2, 0, 1});
    CHECK(batch->slot_mapping == std::vector<std::int32_t>{8, 9, 2, 6, 7});
    CHECK(batch->query_start == std::vector<std::int32_t>{0, 3, 5});
    CHECK(batch->context_lens == std::vector<std::int32_t>{3, 2});
    CHECK(batch->prompt_lens == std::vector<std::int32_t>{3, 4});
    CHECK(batch->block_table_start == std::vector<std::int32_t>{0, 2, 3});
    CHECK(batch->block_tables == std::vector<BlockId>{4, 1, 3});
    CHECK(batch->logits_rows == std::vector<std::int32_t>{2});
    REQUIRE(batch->sampling.size() == 1);
    CHECK(batch->sampling[0].position == 3);
    CHECK(batch->sampling[0].params.seed == 5);
    const std::vector<TokenId> sampled = {13};
    auto result = mirror.complete(sampled);
    REQUIRE(result.ok());
    CHECK(result->step == 1);
    CHECK(result->sampled == std::vector<SampledTokens>{{7, {13}}});

    // The second step was planned before that token was known.
    StepPlan second = plan_of(2, {{7, 1, RowKind::sample}, {9, 2, RowKind::sample}});
    second.grown = {{9, {0}, 0}};
    batch = mirror.begin(second);
    REQUIRE(batch.ok());
    CHECK(batch->input_ids == std::vector<TokenId>{13, 22, 23});
    CHECK(batch->slot_mapping == std::vector<std::int32_t>{3, 0, 1});
    CHECK(batch->context_lens == std::vector<std::int32_t>{4, 4});
    CHECK(batch->prompt_lens == std::vector<std::int32_t>{3, 4});  // as they were added
    CHECK(batch->logits_rows == std::vector<std::int32_t>{0, 2});
}

TEST_CASE("a token that could not be drawn is reported, and no step planned ahead trips over it") {
    InputBatch mirror(2, 8);
    StepPlan first = plan_of(1, {{7, 2, RowKind::sample}});
    first.added = {added(7, {10, 11}, {4, 1})};
    REQUIRE(mirror.begin(first).ok());
    const auto result = mirror.complete(std::vector<TokenId>{no_token});
    REQUIRE(result.ok());
    CHECK(result->sampled == std::vector<SampledTokens>{{7, {no_token}}});
    const auto batch = mirror.begin(plan_of(2, {{7, 1, RowKind::sample}}));
    REQUIRE(batch.ok());
    CHECK(batch->input_ids.at(0) >= 0);  // a token of the vocabulary
}

TEST_CASE("penalties see the sequence's tokens, the one of the step before included; others cost no copy") {
    InputBatch mirror(4, 8);
    StepPlan first = plan_of(1, {{7, 2, RowKind::sample}, {8, 2, RowKind::sample}});
    first.added = {added(7, {10, 11}, {4}), added(8, {10, 11}, {5})};
    first.added[0].sampling.frequency_penalty = 0.5F;
    auto batch = mirror.begin(first);
    REQUIRE(batch.ok());
    CHECK(batch->sampling[0].history == std::vector<TokenId>{10, 11});
    CHECK(batch->sampling[0].num_prompt_tokens == 2);
    CHECK(batch->sampling[1].history.empty());
    REQUIRE(mirror.complete(std::vector<TokenId>{12, 13}).ok());
    batch = mirror.begin(plan_of(2, {{7, 1, RowKind::sample}}));
    REQUIRE(batch.ok());
    CHECK(batch->sampling[0].history == std::vector<TokenId>{10, 11, 12});
    CHECK(batch->sampling[0].num_prompt_tokens == 2);
}

TEST_CASE("a replaced last block takes the old one's place") {
    InputBatch mirror(4, 8);
    StepPlan first = plan_of(1, {{7, 3, RowKind::sample}});
    first.added = {added(7, {1, 2, 3}, {5})};
    REQUIRE(mirror.begin(first).ok());
    const std::vector<TokenId> sampled = {4};
    REQUIRE(mirror.complete(sampled).ok());
    StepPlan second = plan_of(2, {{7, 1, RowKind::sample}});
    second.grown = {{7, {6}, 1}};
    second.copies = {{5, 6}};
    auto batch = mirror.begin(second);
    REQUIRE(batch.ok());
    CHECK(batch->slot_mapping == std::vector<std::int32_t>{27});
    CHECK(mirror.find(7)->block_table == std::vector<BlockId>{6});
}

TEST_CASE("a sequence can leave and come back in one plan") {
    InputBatch mirror(4, 8);
    StepPlan first = plan_of(1, {{7, 1, RowKind::chunk}});
    first.added = {added(7, {1, 2}, {5})};
    REQUIRE(mirror.begin(first).ok());
    REQUIRE(mirror.complete({}).ok());
    StepPlan second = plan_of(2, {{7, 2, RowKind::sample}});
    second.removed = {7};
    second.added = {added(7, {1, 2}, {3})};
    REQUIRE(mirror.begin(second).ok());
    CHECK(mirror.size() == 1);
}

TEST_CASE("plans that do not fit the mirror are errors") {
    auto refused = [](auto change) {
        InputBatch mirror(4, 8);
        StepPlan first = plan_of(5, {{7, 1, RowKind::chunk}});
        first.added = {added(7, {1, 2, 3}, {5})};
        REQUIRE(mirror.begin(first).ok());
        REQUIRE(mirror.complete({}).ok());
        StepPlan plan = plan_of(6, {{7, 2, RowKind::sample}});
        change(plan);
        return !mirror.begin(plan).ok();
    };
    CHECK_FALSE(refused([](StepPlan&) {}));
    CHECK(refused([](StepPlan& p) { p.removed = {8}; }));
    CHECK(refused([](StepPlan& p) { p.removed = {7}; }));  // and then has a row
    CHECK(refused([](StepPlan& p) { p.added = {added(7, {1}, {0})}; }));
    CHECK(refused([](StepPlan& p) { p.added = {added(8, {1}, {8})}; }));
    CHECK(refused([](StepPlan& p) { p.added = {added(8, {1}, {-1})}; }));
    CHECK(refused([](StepPlan& p) { p.grown = {{8, {1}, 0}}; }));
    CHECK(refused([](StepPlan& p) { p.grown = {{7, {}, 2}}; }));
    CHECK(refused([](StepPlan& p) { p.grown = {{7, {}, 1}}; }));  // too few blocks are left
    CHECK(refused([](StepPlan& p) { p.copies = {{0, 8}}; }));
    CHECK(refused([](StepPlan& p) { p.rows = {{8, 1, RowKind::chunk}}; }));
    CHECK(refused([](StepPlan& p) { p.rows = {{7, 0, RowKind::chunk}}; }));
    CHECK(refused([](StepPlan& p) { p.rows = {{7, 3, RowKind::sample}}; }));
    CHECK(refused([](StepPlan& p) { p.rows = {{7, 0xFFFFFFFF, RowKind::sample}}; }));
    CHECK(refused([](StepPlan& p) { p.rows = {{7, 2, RowKind::chunk}}; }));
    CHECK(refused([](StepPlan& p) { p.rows = {{7, 1, RowKind::sample}}; }));
    CHECK(refused([](StepPlan& p) { p.step = 5; }));
    CHECK(refused([](StepPlan& p) { p.epoch = 2; }));
}

TEST_CASE("steps are begun and completed in turn, with as many tokens as rows asked for") {
    InputBatch mirror(4, 8);
    CHECK_FALSE(mirror.complete({}).ok());
    StepPlan first = plan_of(1, {{7, 2, RowKind::sample}});
    first.added = {added(7, {1, 2}, {5})};
    REQUIRE(mirror.begin(first).ok());
    CHECK_FALSE(mirror.begin(plan_of(2, {})).ok());
    CHECK_FALSE(mirror.complete({}).ok());
}

}  // namespace
}  // namespace troupe
