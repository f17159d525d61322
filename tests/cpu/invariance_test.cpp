// Law 3 of the design: the bits of a token's logits depend on its own sequence only. Everything here compares
// for equality, NaNs in the pool's unused memory included.
#include "tests/catch.hpp"
#include "tests/cpu/random_model.hpp"

namespace troupe {
namespace {

using Options = TestRunner::Options;
using Logits = std::vector<std::vector<float>>;

// packed_matrix_test.cpp compares the products of all formats.
constexpr DType some_types[] = {DType::f32,  DType::f16,  DType::bf16, DType::q8_0,
                                DType::q4_0, DType::q4_1, DType::q4_k, DType::mxfp4};
// Longer than one piece of attention, and no multiple of anything.
const std::vector<TokenId> prompt = random_ids(301, 1);

template <class F>
void for_all_models(F check) {
    for (const DType type : some_types) {
        const RandomModel model(type, 8, 2, 32);
        for (const Compute compute : {Compute::automatic, Compute::f32}) {
            INFO(dtype_name(type) << (compute == Compute::f32 ? " f32" : " automatic"));
            check(model, compute);
        }
    }
    RandomModel options(DType::q8_0);
    options.use_attention_options();
    RandomModel qwen(DType::q4_0);  // as Qwen2-MoE
    qwen.use_experts({.num_experts = 7,
                      .experts_per_token = 3,
                      .intermediate_size = 64,
                      .shared_intermediate_size = 96,
                      .shared_gate = true},
                     DType::q4_0, false);
    RandomModel gpt_oss(DType::q8_0);
    gpt_oss.use_attention_options();
    gpt_oss.use_experts({.num_experts = 5,
                         .experts_per_token = 2,
                         .intermediate_size = 64,
                         .routing = MoeSpec::Routing::top_k_then_softmax,
                         .activation = MoeSpec::Activation::clamped_swiglu},
                        DType::mxfp4, true);
    RandomModel q4_k_m(DType::q4_k, 8, 2, 32), q5_k_m(DType::q5_k, 8, 2, 32);
    q4_k_m.use_mixture(DType::q6_k);
    q5_k_m.use_mixture(DType::q6_k);
    for (const auto& [name, model] : {std::pair("attention options", &options),
                                      {"experts", &qwen},
                                      {"gpt-oss", &gpt_oss},
                                      {"Q4_K_M", &q4_k_m},
                                      {"Q5_K_M", &q5_k_m}}) {
        INFO(name);
        check(*model, Compute::automatic);
    }
}

}  // namespace

TEST_CASE("Chunked prefill and decode equal whole prefill") {
    for_all_models([](const RandomModel& model, Compute compute) {
        const Logits whole = TestRunner(model, {compute}).whole(prompt, prompt.size());
        for (const std::size_t chunk : {1, 7, 64, 257})
            CHECK(TestRunner(model, {compute}).whole(prompt, chunk) == whole);
    });
}

TEST_CASE("A batched sequence equals itself alone") {
    for_all_models([](const RandomModel& model, Compute compute) {
        const Logits alone = TestRunner(model, {compute}).whole(prompt, prompt.size());
        TestRunner runner(model, {compute});
        std::vector<TestSequence> sequences = {runner.sequence(random_ids(40, 2)), runner.sequence(prompt),
                                               runner.sequence(random_ids(500, 3))};
        runner.step({{&sequences[0], 39}, {&sequences[2], 470}});
        // Beside a decode and another prefill, in two parts.
        Logits first = runner.step({{&sequences[0], 1}, {&sequences[1], 200}, {&sequences[2], 17}});
        Logits second = runner.step({{&sequences[1], 101}, {&sequences[2], 3}});
        for (std::size_t i = 0; i < prompt.size(); ++i) {
            REQUIRE((i < 200 ? first[1 + i] : second[i - 200]) == alone[i]);
        }
    });
}

TEST_CASE("Two threads give what one gives") {
    for_all_models([](const RandomModel& model, Compute compute) {
        const Logits one = TestRunner(model, {compute, 1}).whole(prompt, 128);
        CHECK(TestRunner(model, {compute, 2}).whole(prompt, 128) == one);
        CHECK(TestRunner(model, {compute, 3}).whole(prompt, 50) == one);
    });
}

TEST_CASE("Block size changes nothing") {
    for_all_models([](const RandomModel& model, Compute compute) {
        const Logits sixteen = TestRunner(model, {compute}).whole(prompt, 100);
        for (const std::size_t size : {1, 3, 32}) {
            CHECK(TestRunner(model, {compute, 1, size}).whole(prompt, 100) == sixteen);
        }
    });
}

TEST_CASE("Every path gives what the best one gives") {
    for_all_models([](const RandomModel& model, Compute compute) {
        const std::vector<TokenId> ids = random_ids(270, 4);
        const Logits fast = TestRunner(model, {compute}).whole(ids, 90);
        for (const KernelPath path : all_kernel_paths) {
            INFO(kernel_path_name(path));
            if (kernel_path_supported(path))
                CHECK(TestRunner(model, {compute, 1, 16, path}).whole(ids, 90) == fast);
        }
    });
}

TEST_CASE("Every shape of heads is invariant") {
    struct Shape {
        std::uint32_t heads, kv_heads, head_dim;
    };
    for (const Shape shape :
         {Shape{1, 1, 8}, {4, 4, 64}, {16, 1, 16}, {9, 3, 80}, {8, 2, 128}, {13, 1, 32}}) {
        INFO(shape.heads << "/" << shape.kv_heads << " heads of " << shape.head_dim);
        const RandomModel model(DType::f32, shape.heads, shape.kv_heads, shape.head_dim);
        const Logits whole = TestRunner(model, {}).whole(prompt, prompt.size());
        CHECK(TestRunner(model, {}).whole(prompt, 1) == whole);
        CHECK(TestRunner(model, {Compute::automatic, 2, 1}).whole(prompt, 33) == whole);
    }
}

TEST_CASE("Every type of the KV cache is invariant") {
    RandomModel plain(DType::q8_0, 8, 2, 40);
    RandomModel options(DType::q4_0);
    options.use_attention_options();
    for (const RandomModel* model : {&plain, &options}) {
        Logits exact;
        for (const KvType type : {KvType::f32, KvType::f16, KvType::bf16, KvType::int8}) {
            INFO(kv_type_name(type));
            const auto with = [&](unsigned threads, std::size_t block_size, KernelPath path) {
                return Options{.threads = threads, .block_size = block_size, .path = path, .kv = type};
            };
            const KernelPath best = best_kernel_path();
            const Logits whole = TestRunner(*model, with(1, 16, best)).whole(prompt, prompt.size());
            CHECK(whole != exact);  // the types do differ
            if (exact.empty()) exact = whole;
            CHECK(TestRunner(*model, with(1, 16, best)).whole(prompt, 1) == whole);
            for (const std::size_t size : {1, 3, 32})
                CHECK(TestRunner(*model, with(3, size, best)).whole(prompt, 77) == whole);
            for (const KernelPath path : all_kernel_paths) {
                INFO(kernel_path_name(path));
                if (kernel_path_supported(path))
                    CHECK(TestRunner(*model, with(2, 16, path)).whole(prompt, 100) == whole);
            }
            TestRunner runner(*model, with(2, 16, best));
            std::vector<TestSequence> sequences = {runner.sequence(random_ids(40, 2)),
                                                   runner.sequence(prompt)};
            runner.step({{&sequences[0], 39}, {&sequences[1], 200}});
            const Logits together = runner.step({{&sequences[0], 1}, {&sequences[1], 101}});
            for (std::size_t i = 200; i < prompt.size(); ++i) REQUIRE(together[i - 199] == whole[i]);
        }
    }
}

TEST_CASE("Blocks of every type of the KV cache can be moved") {
    const RandomModel model(DType::q8_0);
    for (const KvType type : {KvType::f32, KvType::f16, KvType::bf16, KvType::int8}) {
        INFO(kv_type_name(type));
        TestRunner runner(model, {.kv = type});
        const Logits whole = runner.whole(prompt, prompt.size());
        TestSequence sequence = runner.sequence(prompt);
        runner.step({{&sequence, 300}});
        std::vector<std::byte> bytes(runner.cache->bytes_per_block());
        for (BlockId& block : sequence.blocks) {  // as swapping does
            runner.cache->read_block(block, bytes);
            std::memset(runner.cache->block(block), 0xFF, bytes.size());
            block = runner.next_block--;
            runner.cache->write_block(block, bytes);
        }
        CHECK(runner.step({{&sequence, 1}})[0] == whole[300]);
    }
}

TEST_CASE("Rows without logits change nothing, and a step may ask for none") {
    const RandomModel model(DType::q8_0);
    TestRunner runner(model, {});
    const Logits whole = runner.whole(prompt, prompt.size());
    ForwardBatch batch;
    TestSequence sequence = runner.sequence(prompt);
    batch.input_ids = prompt;
    for (std::size_t i = 0; i < prompt.size(); ++i) {
        batch.positions.push_back(static_cast<std::int32_t>(i));
        batch.slot_mapping.push_back(sequence.blocks[i / 16] * 16 + static_cast<std::int32_t>(i % 16));
    }
    batch.query_start = {0, static_cast<std::int32_t>(prompt.size())};
    batch.context_lens = {static_cast<std::int32_t>(prompt.size())};
    batch.block_tables = sequence.blocks;
    batch.block_table_start = {0, static_cast<std::int32_t>(sequence.blocks.size())};
    ForwardOutput output;
    runner.backend.execute(batch, output);
    CHECK(output.tokens.empty());
    batch.logits_rows = {5, 299};
    batch.sampling.resize(2);
    batch.sampling[0].params.temperature = 0.0F;
    runner.backend.execute(batch, output);
    const std::size_t vocab = model.spec.vocab_size;
    CHECK(std::equal(whole[5].begin(), whole[5].end(), output.logits));
    CHECK(std::equal(whole[299].begin(), whole[299].end(), output.logits + vocab));
    CHECK(output.tokens[0] == greedy(whole[5]));
}

TEST_CASE("A copied block holds the same KV") {
    const RandomModel model(DType::q4_0);
    TestRunner runner(model, {});
    const Logits whole = runner.whole(prompt, prompt.size());
    TestSequence sequence = runner.sequence(prompt);
    runner.step({{&sequence, 300}});
    TestSequence fork = sequence;
    for (BlockId& block : fork.blocks) {
        const BlockCopy copy{block, runner.next_block--};
        runner.backend.copy_blocks({&copy, 1});
        std::memset(runner.cache->block(block), 0xFF, runner.cache->bytes_per_block());
        block = copy.to;
    }
    CHECK(runner.step({{&fork, 1}})[0] == whole[300]);
}

TEST_CASE("Batches that point outside of the model or the pool are refused") {
    const RandomModel model(DType::f32);
    TestRunner runner(model, {});
    const ForwardBatch good = [&] {
        ForwardBatch batch;
        batch.input_ids = {1, 2};
        batch.positions = {0, 1};
        batch.slot_mapping = {0, 1};
        batch.query_start = {0, 2};
        batch.context_lens = {2};
        batch.block_table_start = {0, 1};
        batch.block_tables = {0};
        batch.logits_rows = {1};
        batch.sampling.resize(1);
        return batch;
    }();
    ForwardOutput output;
    runner.backend.execute(good, output);
    const auto refused = [&](auto change) {
        ForwardBatch batch = good;
        change(batch);
        CHECK_THROWS_AS(runner.backend.execute(batch, output), std::invalid_argument);
    };
    refused([](ForwardBatch& b) { b.input_ids[0] = 333; });
    refused([](ForwardBatch& b) { b.input_ids[0] = -1; });
    refused([](ForwardBatch& b) { b.slot_mapping[1] = 1 << 30; });
    refused([](ForwardBatch& b) { b.positions = {1, 2}; });
    refused([](ForwardBatch& b) { b.context_lens[0] = 17; });
    refused([](ForwardBatch& b) { b.block_tables[0] = 100000; });
    refused([](ForwardBatch& b) { b.logits_rows[0] = 2; });
    refused([](ForwardBatch& b) { b.sampling.clear(); });
    refused([](ForwardBatch& b) { b = ForwardBatch(); });
    const BlockCopy copy{0, 1 << 30};
    CHECK_THROWS_AS(runner.backend.copy_blocks({&copy, 1}), std::invalid_argument);
}

TEST_CASE("The string of numerics tells modes, weights and specifications apart") {
    const RandomModel model(DType::q8_0);
    RandomModel other(DType::q8_0);
    other.weights->content_hash = 7;
    const std::string automatic = TestRunner(model, {}).backend.numerics();
    CHECK(automatic == TestRunner(model, {Compute::automatic, 2, 1}).backend.numerics());
    CHECK(automatic != TestRunner(model, {Compute::f32}).backend.numerics());
    CHECK(automatic == TestRunner(model, {.kv = KvType::f16}).backend.numerics());
    CHECK(automatic != TestRunner(model, {.kv = KvType::int8}).backend.numerics());
    CHECK(automatic != TestRunner(model, {.kv = KvType::bf16}).backend.numerics());
    CHECK(automatic != TestRunner(other, {}).backend.numerics());
    // The same tensors, computed otherwise.
    const auto with = [](auto change) {
        RandomModel changed(DType::q8_0);
        change(changed.spec);
        return TestRunner(changed, {}).backend.numerics();
    };
    CHECK(automatic == with([](ModelSpec&) {}));
    CHECK(automatic != with([](ModelSpec& s) { s.ropes[0].theta = 500000.0; }));
    CHECK(automatic != with([](ModelSpec& s) { s.ropes[0].interleaved = true; }));
    CHECK(automatic != with([](ModelSpec& s) { s.ropes[0].factor = 2.0; }));
    CHECK(automatic != with([](ModelSpec& s) { s.rms_norm_eps = 1e-6F; }));
    CHECK(automatic != with([](ModelSpec& s) { s.num_heads = 12, s.num_kv_heads = 4, s.head_dim = 16; }));
}

}  // namespace troupe
