// Log probabilities of prompts: the sums that transformers computes, and the same bits however the prompt is
// cut.
#include <cmath>

#include "test_paths.hpp"
#include "tests/golden/golden.hpp"

namespace troupe {
namespace {

// Of ids[1], ids[2], ..., the prompt computed `chunk` tokens at a time.
std::vector<PositionLogprobs> score(golden::Runner& runner, const std::vector<TokenId>& ids,
                                    std::size_t chunk) {
    std::vector<PositionLogprobs> scored;
    for (std::size_t first = 0; first + 1 < ids.size(); first += chunk) {
        const std::size_t end = std::min(first + chunk, ids.size() - 1);
        ForwardBatch batch = sequence_batch(std::span(ids).first(end), first, golden::Runner::block_size, {});
        batch.logits_rows.clear();
        batch.sampling.clear();
        for (std::size_t i = first; i < end; ++i) {
            batch.logits_rows.push_back(static_cast<std::int32_t>(i - first));
            SamplingRow& row = batch.sampling.emplace_back();
            row.given = ids[i + 1];
            row.params.logprobs = 3;
        }
        ForwardOutput output;
        runner.backend->execute(batch, output);
        for (std::size_t i = 0; i < output.tokens.size(); ++i) CHECK(output.tokens[i] == ids[first + i + 1]);
        scored.insert(scored.end(), output.logprobs.begin(), output.logprobs.end());
    }
    return scored;
}

double sum(const std::vector<PositionLogprobs>& scored) {
    double total = 0.0;
    for (const PositionLogprobs& position : scored) total += position.token.logprob;
    return total;
}

void check_directory(const std::filesystem::path& directory) {
    simdjson::dom::parser parser;
    const simdjson::dom::element golden = parser.load((directory / "golden.json").string());
    golden::Runner runner(directory, Compute::f32);
    for (const simdjson::dom::element one : golden["prompts"].get_array()) {
        const auto ids = golden::numbers<TokenId>(one["ids"]);
        const double expected = one["prompt_logprob_sum"].get_double();
        const double tolerance = 2e-4 * static_cast<double>(ids.size());
        CHECK(std::abs(sum(score(runner, ids, ids.size())) - expected) < tolerance);
    }
}

}  // namespace

TEST_CASE("Prompt logprobs have the same bits, whole or in pieces of any size") {
    const std::filesystem::path data = std::filesystem::path(TROUPE_TEST_DATA) / "stories260k";
    for (const Compute compute : {Compute::f32, Compute::automatic}) {
        golden::Runner runner(data, compute);
        simdjson::dom::parser parser;
        const simdjson::dom::element cases = parser.load((data / "expected.json").string());
        auto ids = golden::numbers<TokenId>(cases.at(0)["ids"]);
        const auto greedy = golden::numbers<TokenId>(cases.at(0)["greedy"]);
        const std::size_t prompt = ids.size();
        ids.insert(ids.end(), greedy.begin(), greedy.end());
        const auto whole = score(runner, ids, ids.size());
        REQUIRE(whole.size() == ids.size() - 1);
        for (std::size_t i = prompt - 1; i < whole.size(); ++i) CHECK(whole[i].rank == 1);  // it was greedy
        for (const std::size_t chunk : {1U, 7U, 16U, 33U}) CHECK(score(runner, ids, chunk) == whole);
        const std::vector<float> logits = runner.logits(ids, 0);
        const std::size_t vocab = runner.model.spec.vocab_size;
        for (std::size_t i = 0; i < whole.size(); ++i) {
            const float* row = &logits[i * vocab];
            double exponentials = 0.0;
            for (std::size_t v = 0; v < vocab; ++v) exponentials += std::exp(double{row[v]});
            const double expected = row[ids[i + 1]] - std::log(exponentials);
            CHECK(whole[i].token.logprob == Approx(expected).margin(1e-5));
        }
    }
}

TEST_CASE("Prompt logprobs sum to what transformers computes") {
    const std::filesystem::path golden = std::filesystem::path(TROUPE_SHARED) / "models" / "golden";
    if (golden::present(golden / "llama-1")) check_directory(golden / "llama-1");
}

TEST_CASE("Prompt logprobs of the default model sum to its reference's") {
    const auto answers = std::filesystem::path(TROUPE_SHARED) / "models" / "smollm2-135m" / "expected.json";
    if (!golden::present(golden::default_model()) || !golden::present(answers)) return;
    golden::Runner runner(golden::default_model(), Compute::f32);
    simdjson::dom::parser parser;
    const simdjson::dom::element cases = parser.load(answers.string());
    for (const simdjson::dom::element one : cases.get_array()) {
        const auto ids = golden::numbers<TokenId>(one["ids"]);
        const double expected = one["prompt_logprob_sum"].get_double();
        const double actual = sum(score(runner, ids, ids.size()));
        CHECK(std::abs(actual - expected) <
              2e-4 * static_cast<double>(ids.size()) + 1e-5 * std::abs(expected));
    }
}

}  // namespace troupe
