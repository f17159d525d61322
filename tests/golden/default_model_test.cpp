// The default model against its float32 reference in ../shared, and how far the fast mode is from it.
#include "test_paths.hpp"
#include "tests/golden/golden.hpp"

namespace troupe {
namespace {

const std::filesystem::path answers =
    std::filesystem::path(TROUPE_SHARED) / "models/smollm2-135m/expected.json";

// KL(reference || other) in nats, of the distributions that the logits give.
double divergence(std::span<const float> reference, std::span<const float> other) {
    const auto log_sum = [](std::span<const float> logits) {
        const double top = *std::max_element(logits.begin(), logits.end());
        double sum = 0.0;
        for (const float logit : logits) sum += std::exp(logit - top);
        return top + std::log(sum);
    };
    const double reference_sum = log_sum(reference);
    const double other_sum = log_sum(other);
    double result = 0.0;
    for (std::size_t i = 0; i < reference.size(); ++i) {
        const double log_p = reference[i] - reference_sum;
        result += std::exp(log_p) * (log_p - (other[i] - other_sum));
    }
    return result;
}

}  // namespace

TEST_CASE("The default model in f32 agrees with its reference") {
    if (!golden::present(golden::default_model()) || !golden::present(answers)) return;
    golden::Runner runner(golden::default_model(), Compute::f32);
    simdjson::dom::parser parser;
    const simdjson::dom::element cases = parser.load(answers.string());
    for (const simdjson::dom::element prompt : cases.get_array()) {
        const auto ids = golden::numbers<TokenId>(prompt["ids"]);
        const auto logits = runner.logits(ids, ids.size() - 1);
        std::vector<float> top;
        for (const TokenId id : golden::numbers<TokenId>(prompt["top_ids"])) top.push_back(logits[id]);
        CHECK(golden::relative(top, golden::numbers<double>(prompt["top_logits"])) < 2e-3);

        auto greedy = golden::numbers<TokenId>(prompt["greedy"]);
        greedy.resize(std::max<std::size_t>(
            1, golden::certain(golden::numbers<double>(prompt["greedy_margin"]), 0.02)));
        CHECK(golden::greedy_given(runner, ids, greedy) == greedy);
    }
}

TEST_CASE("The default model in the fast mode stays near its reference") {
    if (!golden::present(golden::default_model()) || !golden::present(answers)) return;
    golden::Runner exact(golden::default_model(), Compute::f32);
    golden::Runner fast(golden::default_model(), Compute::automatic);
    simdjson::dom::parser parser;
    const simdjson::dom::element cases = parser.load(answers.string());
    const std::size_t vocab = exact.model.spec.vocab_size;
    double total = 0.0;
    std::size_t agreed = 0;
    std::size_t count = 0;
    for (const simdjson::dom::element prompt : cases.get_array()) {
        auto ids = golden::numbers<TokenId>(prompt["ids"]);
        const auto greedy_ids = golden::numbers<TokenId>(prompt["greedy"]);
        ids.insert(ids.end(), greedy_ids.begin(), greedy_ids.end());
        const auto reference = exact.logits(ids, 0);
        const auto other = fast.logits(ids, 0);
        for (std::size_t i = 0; i < ids.size(); ++i, ++count) {
            const std::span<const float> a(&reference[i * vocab], vocab);
            const std::span<const float> b(&other[i * vocab], vocab);
            total += divergence(a, b);
            agreed += greedy(a) == greedy(b);
        }
    }
    const double mean = total / static_cast<double>(count);
    const double agreement = static_cast<double>(agreed) / static_cast<double>(count);
    std::cout << "fast mode over " << count << " positions: KL " << mean << ", top-1 agreement " << agreement
              << '\n';
    CHECK(mean < 0.01);
    CHECK(agreement > 0.95);
}

}  // namespace troupe
