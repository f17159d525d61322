#include "cpu/step_bound.hpp"

#include <cmath>

#include "cpu/machine_peaks.hpp"
#include "tests/catch.hpp"
#include "tests/cpu/random_model.hpp"

using namespace troupe;

namespace {

bool near(double value, double expected) { return std::fabs(value - expected) <= 1e-9 * std::fabs(expected); }

// Weights that every token is multiplied with: of the layers, and of the head.
double layer_weights(const ModelSpec& s) {
    const double hidden = s.hidden_size, heads = double{1} * s.num_heads * s.head_dim,
                 kv_heads = double{1} * s.num_kv_heads * s.head_dim;
    return s.num_layers * (2 * hidden * heads + 2 * hidden * kv_heads + 3 * hidden * s.intermediate_size);
}

}  // namespace

TEST_CASE("a step needs its weights once, and two operations of each for every token") {
    ComputePool pool(1);
    RandomModel random(DType::q8_0);
    const auto model = CpuModel::prepare(random.spec, random.weights, Compute::automatic, pool);
    const ModelSpec& s = random.spec;
    const double head = double{1} * s.hidden_size * s.vocab_size;

    const StepNeeds one = step_needs(*model, {1, 0, 1});
    CHECK(near(one.int8_operations, 2 * (layer_weights(s) + head)));
    CHECK(near(one.weight_bytes, static_cast<double>(model->packed_bytes())));
    CHECK(one.kv_bytes == 0);
    // Prompts draw one token; decodes one each, and read their context.
    const StepNeeds prompt = step_needs(*model, {1, 0, 7});
    CHECK(near(prompt.int8_operations, 2 * (7 * layer_weights(s) + head)));
    CHECK(prompt.weight_bytes == one.weight_bytes);
    const StepNeeds decodes = step_needs(*model, {3, 10, 1});
    CHECK(near(decodes.int8_operations, 3 * one.int8_operations));
    CHECK(near(decodes.kv_bytes, 3.0 * 10 * s.num_layers * 2 * s.num_kv_heads * s.head_dim * 2));
}

TEST_CASE("the bound is the slower of reading and computing, and none without the rates") {
    StepNeeds needs;
    needs.weight_bytes = 100;
    needs.kv_bytes = 10;
    needs.int8_operations = 500;
    CHECK(near(needs.seconds({10, 100, 0}), 10 + 1));  // memory
    CHECK(near(needs.seconds({10, 25, 0}), 20 + 1));   // arithmetic
    CHECK(needs.seconds({10, 0, 50}) == 0);
    CHECK(needs.seconds({0, 100, 0}) == 0);
    needs.fp32_operations = 100;
    CHECK(near(needs.seconds({10, 25, 10}), 30 + 1));
}

TEST_CASE("this machine has rates") {
    ComputePool pool(1);
    CHECK(ReadMeter().measure(pool) > 1e8);
    if (kernel_path_supported(KernelPath::avx2)) CHECK(measure_peak(pool, PeakKind::fp32) > 1e9);
    if (kernel_path_supported(KernelPath::avx512_vnni))
        CHECK(measure_peak(pool, PeakKind::int8) > measure_peak(pool, PeakKind::fp32));
}
