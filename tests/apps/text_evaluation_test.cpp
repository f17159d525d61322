// Perplexity and divergence, against what follows from their definitions.
#include "apps/text_evaluation.hpp"

#include <cmath>

#include "model/sequence_batch.hpp"
#include "test_paths.hpp"
#include "tests/catch.hpp"

namespace troupe {
namespace {

const std::string directory = std::string(TROUPE_TEST_DATA) + "/stories260k";
const std::string text =
    "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. One day, "
    "she "
    "saw a big red ball. She wanted to play with it, but it was too high. Her mom said she could help. They "
    "played all day, and Lily was happy. The end. ";

struct Model {
    LoadedModel loaded = [] {
        auto model = load_model(directory);
        if (!model) FAIL(model.error().message);
        return *std::move(model);
    }();
    std::shared_ptr<ComputePool> pool = std::make_shared<ComputePool>(2);

    Predictor predictor(Compute compute, std::size_t tokens, std::optional<KvType> kv = {}) const {
        return {CpuModel::prepare(loaded.spec, loaded.weights, compute, *pool, best_kernel_path(), {}, kv),
                pool, tokens};
    }
};

}  // namespace

TEST_CASE("Chunks are whole, begin with the token that begins texts, and are as many as wanted",
          "[perplexity]") {
    const Model model;
    const auto all = text_chunks(*model.loaded.tokenizer, text, 16, 0);
    REQUIRE(all);
    const auto ids = model.loaded.tokenizer->encode(text, {.parse_special = false, .add_special = true});
    CHECK(all->size() == ids->size() / 16);
    CHECK(all->size() > 2);
    for (std::size_t i = 0; i < all->size(); ++i) {
        const auto& chunk = (*all)[i];
        CHECK(chunk.size() == 16);
        CHECK(chunk.front() == *model.loaded.tokenizer->bos_id());
        CHECK(std::equal(chunk.begin() + 1, chunk.end(),
                         ids->begin() + static_cast<std::ptrdiff_t>(16 * i + 1)));
    }
    CHECK(text_chunks(*model.loaded.tokenizer, text, 16, 2)->size() == 2);
    const auto short_text = text_chunks(*model.loaded.tokenizer, "Once", 16, 0);
    REQUIRE_FALSE(short_text);
    CHECK(short_text.error().param == "--ctx-size");
}

TEST_CASE("Perplexity is that of the second half's tokens, each from all before it", "[perplexity]") {
    const Model model;
    const auto chunks = text_chunks(*model.loaded.tokenizer, text, 32, 2);
    REQUIRE(chunks);
    Predictor predictor = model.predictor(Compute::f32, 32);
    Evaluation result;
    double nll = 0;
    for (const auto& chunk : *chunks) {
        evaluate_chunk(chunk, predictor, nullptr, *model.pool, result);
        for (std::size_t i = 17; i < 32; ++i) {  // by hand: prompts of their own
            Predictor alone = model.predictor(Compute::f32, 32);
            const float* logits = alone.logits(std::span(chunk).first(i), i - 1, i);
            double sum = 0;
            for (std::size_t t = 0; t < alone.vocab_size(); ++t)
                sum += std::exp(static_cast<double>(logits[t]));
            nll -= logits[chunk[i]] - std::log(sum);
        }
    }
    CHECK(result.tokens == 30);
    CHECK(result.nll == Approx(nll).epsilon(1e-9));
    CHECK(result.perplexity() == Approx(std::exp(nll / 30)));
    CHECK(result.perplexity() < 20);  // the model was trained on such texts; 512 would know nothing
    CHECK(result.perplexity_error() > 0);
}

TEST_CASE("A model diverges from itself by nothing, and from other arithmetic by a little", "[perplexity]") {
    const Model model;
    const auto chunks = text_chunks(*model.loaded.tokenizer, text, 64, 1);
    REQUIRE(chunks);
    const auto against_exact = [&](Compute compute, std::optional<KvType> kv) {
        Predictor predictor = model.predictor(compute, 64, kv);
        Predictor exact = model.predictor(Compute::f32, 64);
        Evaluation result;
        evaluate_chunk((*chunks)[0], predictor, &exact, *model.pool, result);
        return result;
    };
    const Evaluation same = against_exact(Compute::f32, {});
    CHECK(same.kl == 0);
    CHECK(same.same_top == same.tokens);
    CHECK(same.nll == same.reference_nll);
    const Evaluation f16 = against_exact(Compute::f32, KvType::f16);
    const Evaluation bf16 = against_exact(Compute::f32, KvType::bf16);
    const Evaluation int8 = against_exact(Compute::f32, KvType::int8);
    CHECK(f16.mean_kl() > 0);
    CHECK(f16.mean_kl() < bf16.mean_kl());
    CHECK(bf16.mean_kl() < int8.mean_kl());
    CHECK(int8.mean_kl() < 1e-2);
    CHECK(int8.largest_kl >= int8.mean_kl());
}

}  // namespace troupe
