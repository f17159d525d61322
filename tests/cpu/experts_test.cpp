// Routing and mixtures of experts against plain references. Invariance: invariance_test.cpp.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "cpu/expert_ops.hpp"
#include "cpu/routing.hpp"
#include "tests/catch.hpp"
#include "tests/cpu/random_model.hpp"

namespace troupe {
namespace {

using Routing = MoeSpec::Routing;

std::vector<ExpertChoice> routed(const MoeSpec& spec, const std::vector<float>& logits) {
    std::vector<ExpertChoice> choices(spec.experts_per_token);
    route(spec, logits.data(), choices);
    return choices;
}

std::vector<std::uint32_t> experts_of(const std::vector<ExpertChoice>& choices) {
    std::vector<std::uint32_t> experts;
    for (const ExpertChoice& choice : choices) experts.push_back(choice.expert);
    return experts;
}

}  // namespace

TEST_CASE("The largest logits choose the experts, of equal ones those of lower index") {
    const MoeSpec spec{.num_experts = 6, .experts_per_token = 3};
    CHECK(experts_of(routed(spec, {1, 5, 2, 4, 3, 0})) == std::vector<std::uint32_t>{1, 3, 4});
    CHECK(experts_of(routed(spec, {0, 1, 0, 1, 0, 1})) == std::vector<std::uint32_t>{1, 3, 5});
    CHECK(experts_of(routed(spec, {7, 7, 7, 7, 7, 7})) == std::vector<std::uint32_t>{0, 1, 2});
    CHECK(experts_of(routed(spec, {0, 0, 9, 0, 0, 0})) == std::vector<std::uint32_t>{0, 1, 2});
}

TEST_CASE("Weights are a softmax over all experts, or over the chosen ones") {
    const std::vector<float> logits = {0.5F, -1.0F, 2.0F, 1.0F};
    double all = 0.0;
    for (const float logit : logits) all += std::exp(logit);
    const double chosen = std::exp(2.0) + std::exp(1.0);
    MoeSpec spec{.num_experts = 4, .experts_per_token = 2};
    const auto weights = [&] {
        const auto choices = routed(spec, logits);
        CHECK(experts_of(choices) == std::vector<std::uint32_t>{2, 3});
        return std::vector<double>{choices[0].weight, choices[1].weight};
    };
    CHECK(weights()[0] == Approx(std::exp(2.0) / all));
    CHECK(weights()[1] == Approx(std::exp(1.0) / all));
    spec.normalize = true;
    CHECK(weights()[0] == Approx(std::exp(2.0) / chosen));
    spec.normalize = false;
    spec.routing = Routing::top_k_then_softmax;
    CHECK(weights()[1] == Approx(std::exp(1.0) / chosen));
}

TEST_CASE("A NaN among the router's logits is not hidden") {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    for (const Routing routing : {Routing::softmax_then_top_k, Routing::top_k_then_softmax}) {
        const MoeSpec spec{.num_experts = 3, .experts_per_token = 2, .routing = routing, .normalize = true};
        for (const auto& logits : {std::vector<float>{nan, 1, 2}, {1, 2, nan}, {nan, nan, nan}}) {
            const auto choices = routed(spec, logits);
            CHECK(choices[0].expert < choices[1].expert);
            CHECK(choices[1].expert < 3);
            CHECK(std::isnan(choices[0].weight));
        }
    }
}

TEST_CASE("Rows are put together by expert, tokens in order") {
    const MoeSpec spec{.num_experts = 4, .experts_per_token = 2};
    const std::vector<ExpertChoice> choices = {{1, 0}, {3, 0}, {0, 0}, {3, 0}, {1, 0}, {3, 0}};
    ExpertRows rows;
    rows.group(spec, choices);
    CHECK(rows.begins == std::vector<std::uint32_t>{0, 1, 3, 3, 6});
    CHECK(rows.tokens == std::vector<std::uint32_t>{1, 0, 2, 0, 1, 2});
    CHECK(rows.rows == std::vector<std::uint32_t>{1, 3, 0, 4, 2, 5});
}

namespace {

std::vector<double> row_of(const Tensor& tensor, std::uint32_t row) {
    std::vector<float> values(tensor.columns);
    dequantize_row(tensor, row, values.data());
    return {values.begin(), values.end()};
}

// W x + b
std::vector<double> times(const Tensor& matrix, const Tensor& bias, const std::vector<double>& x) {
    std::vector<double> out(matrix.rows);
    const std::vector<double> offset = bias ? row_of(bias, 0) : std::vector<double>(matrix.rows);
    for (std::uint32_t n = 0; n < matrix.rows; ++n) {
        const std::vector<double> row = row_of(matrix, n);
        out[n] = offset[n];
        for (std::size_t k = 0; k < x.size(); ++k) out[n] += row[k] * x[k];
    }
    return out;
}

std::vector<double> feed_forward(const MoeSpec& spec, const ExpertWeights& expert,
                                 const std::vector<double>& x) {
    std::vector<double> gate = times(expert.gate, expert.gate_bias, x);
    const std::vector<double> up = times(expert.up, expert.up_bias, x);
    for (std::size_t i = 0; i < gate.size(); ++i) {
        if (spec.activation == MoeSpec::Activation::silu) {
            gate[i] = gate[i] / (1.0 + std::exp(-gate[i])) * up[i];
        } else {
            const double g = std::min<double>(gate[i], spec.limit);
            const double u = std::clamp<double>(up[i], -spec.limit, spec.limit);
            gate[i] = (u + 1.0) * g / (1.0 + std::exp(-spec.alpha * g));
        }
    }
    return times(expert.down, expert.down_bias, gate);
}

// What the layer makes of x, by the definition.
std::vector<double> reference(const MoeSpec& spec, const LayerWeights& layer, const std::vector<double>& x) {
    const std::vector<double> scores = times(layer.router, layer.router_bias, x);
    const auto choices = routed(spec, std::vector<float>(scores.begin(), scores.end()));
    std::vector<double> out(x.size());
    for (const ExpertChoice& choice : choices) {
        const std::vector<double> made = feed_forward(spec, layer.experts[choice.expert], x);
        for (std::size_t i = 0; i < x.size(); ++i) out[i] += double{choice.weight} * made[i];
    }
    if (!layer.shared_up) return out;
    double weight = 1.0;
    if (layer.shared_gate) weight = 1.0 / (1.0 + std::exp(-times(layer.shared_gate, {}, x)[0]));
    const ExpertWeights shared{layer.shared_gate_proj, layer.shared_up, layer.shared_down, {}, {}, {}};
    const std::vector<double> made = feed_forward(spec, shared, x);
    for (std::size_t i = 0; i < x.size(); ++i) out[i] += weight * made[i];
    return out;
}

const MoeSpec specs[] = {
    {.num_experts = 8, .experts_per_token = 2, .intermediate_size = 64, .normalize = true},
    {.num_experts = 6,
     .experts_per_token = 6,
     .intermediate_size = 32,
     .routing = Routing::top_k_then_softmax},
    {.num_experts = 5,
     .experts_per_token = 3,
     .intermediate_size = 96,
     .routing = Routing::top_k_then_softmax,
     .activation = MoeSpec::Activation::clamped_swiglu,
     .limit = 0.4F},
    {.num_experts = 9,
     .experts_per_token = 4,
     .intermediate_size = 64,
     .shared_intermediate_size = 160,
     .shared_gate = true},
    {.num_experts = 1, .experts_per_token = 1, .intermediate_size = 64, .shared_intermediate_size = 32}};

}  // namespace

TEST_CASE("A mixture of experts agrees with its definition in double") {
    constexpr std::size_t tokens = 23;
    ComputePool pool(2);
    for (const MoeSpec& moe : specs) {
        RandomModel random(DType::f32);
        random.use_experts(moe, DType::f32, moe.activation == MoeSpec::Activation::clamped_swiglu);
        for (const KernelPath path : {KernelPath::portable, best_kernel_path()}) {
            const auto model = CpuModel::prepare(random.spec, random.weights, Compute::f32, pool, path);
            const std::size_t hidden = random.spec.hidden_size;
            std::vector<float> x = random_rows(tokens * hidden, 9);
            std::vector<float> out(tokens * hidden, 77.0F);
            ExpertOps experts(path, pool);
            experts.run(moe, model->parameters().layers[1].moe, {x.data(), tokens, hidden, hidden},
                        {out.data(), tokens, hidden, hidden});
            for (std::size_t t = 0; t < tokens; ++t) {
                const std::vector<double> row(x.begin() + static_cast<long>(t * hidden),
                                              x.begin() + static_cast<long>((t + 1) * hidden));
                const std::vector<double> expected = reference(moe, random.weights->layers[1], row);
                double largest = 0.0;
                for (const double value : expected) largest = std::max(largest, std::abs(value));
                // Two chains of at most 160 roundings, exponentials of 2 ulp.
                for (std::size_t i = 0; i < hidden; ++i)
                    REQUIRE(std::abs(out[t * hidden + i] - expected[i]) <= 2e-5 * largest);
            }
        }
    }
}

TEST_CASE("Quantized experts agree with exact ones as far as int8 activations allow") {
    constexpr std::size_t tokens = 9;
    ComputePool pool(2);
    RandomModel random(DType::q8_0);
    random.use_experts(specs[0], DType::q8_0, false);
    const std::size_t hidden = random.spec.hidden_size;
    std::vector<float> x = random_rows(tokens * hidden, 9);
    std::vector<std::vector<float>> outs;
    for (const Compute compute : {Compute::automatic, Compute::f32}) {
        const auto model = CpuModel::prepare(random.spec, random.weights, compute, pool);
        outs.emplace_back(tokens * hidden);
        ExpertOps experts(best_kernel_path(), pool);
        experts.run(specs[0], model->parameters().layers[1].moe, {x.data(), tokens, hidden, hidden},
                    {outs.back().data(), tokens, hidden, hidden});
    }
    CHECK(outs[0] != outs[1]);
    double error = 0.0;
    double size = 0.0;
    for (std::size_t i = 0; i < outs[0].size(); ++i) {
        error += std::pow(double{outs[0][i]} - outs[1][i], 2);
        size += std::pow(double{outs[1][i]}, 2);
    }
    CHECK(std::sqrt(error / size) < 0.05);
}

}  // namespace troupe
