#include "engine/roofline.hpp"

#include <cmath>

#include "engine/device_numbers.hpp"
#include "engine/model_shapes.hpp"
#include "tests/catch.hpp"

using namespace troupe;

namespace {

bool near(double value, double expected, double tolerance = 1e-9) {
    return std::fabs(value - expected) <= tolerance * std::fabs(expected);
}

ModelShape seventy_billion() {
    ModelShape shape;
    shape.weight_bytes = shape.streamed_bytes = 140e9;
    shape.flops_per_token = 140e9;
    shape.num_layers = 80;
    shape.num_kv_heads = 8;
    shape.head_dim = 128;
    return shape;
}

}  // namespace

TEST_CASE("one stream is as fast as its weights are read") {
    ModelShape shape;
    shape.weight_bytes = shape.streamed_bytes = 14e9;
    DeviceNumbers device;
    device.bandwidth = 2e12;
    CHECK(near(decode_seconds(shape, device, {}, 1, 0), 0.007));
    CHECK(near(decode_seconds(shape, device, {2, 1}, 1, 0), 0.0035));
    CHECK(near(decode_seconds(shape, device, {1, 2}, 1, 0), 0.007));  // stages help throughput only
}

TEST_CASE("the largest batch is what memory, reading and computing allow, whichever is least") {
    DeviceNumbers device;
    device.memory_bytes = 80e9;
    device.bandwidth = 2e12;
    const ModelShape shape = seventy_billion();
    CHECK(kv_bytes_per_token_per_device(shape, {8, 1}) == 40960);
    const MaxBatch memory = max_batch(shape, device, {8, 1}, 2048, 0.050);
    CHECK(memory.batch == 745);
    CHECK(memory.binding == Binding::memory);
    CHECK(memory.by_bandwidth == 983);
    CHECK_FALSE(memory.by_compute.has_value());
    const MaxBatch reading = max_batch(shape, device, {8, 1}, 2048, 0.030);
    CHECK(reading.batch == 506);  // (60 - 17.5) GB / (2048 * 40960 B)
    CHECK(reading.binding == Binding::bandwidth);
    device.flops = 100e12;  // a token takes 0.175 ms on each of 8
    const MaxBatch computing = max_batch(shape, device, {8, 1}, 2048, 0.030);
    CHECK(computing.batch == 138);  // 30 ms / (0.175 + 0.0419 ms)
    CHECK(computing.binding == Binding::compute);
    CHECK(max_batch(shape, device, {8, 1}, 2048, 0.005).batch == 0);
    CHECK(max_batch(shape, device, {8, 1}, 2048, std::nullopt).batch == 745);
}

TEST_CASE("a KV head is not divided") {
    ModelShape shape = seventy_billion();
    CHECK(kv_bytes_per_token_per_device(shape, {16, 1}) == kv_bytes_per_token_per_device(shape, {8, 1}));
    CHECK(kv_bytes_per_token_per_device(shape, {4, 2}) == 40960);
}

TEST_CASE("a mixture reads the experts that its tokens choose") {
    ModelShape shape;
    shape.streamed_bytes = 10;
    shape.expert_bytes = 80;
    shape.num_experts = 8;
    shape.experts_per_token = 2;
    CHECK(near(streamed_bytes(shape, 1), 30));
    CHECK(near(streamed_bytes(shape, 2), 45));
    CHECK(near(streamed_bytes(shape, 1000), 90));
}

TEST_CASE("known shapes have the parameters that their models have") {
    CHECK(near(count_parameters(*find_decoder("llama-3-8b")), 8.03e9, 1e-3));
    CHECK(near(count_parameters(*find_decoder("LLAMA-3-70B")), 70.55e9, 1e-3));
    CHECK(near(count_parameters(*find_decoder("smollm2-135m")), 134.5e6, 1e-3));
    CHECK(near(count_parameters(*find_decoder("mixtral-8x7b")), 46.7e9, 1e-3));
    CHECK(near(count_active_parameters(*find_decoder("qwen3-30b-a3b")), 3.04e9, 2e-2));
    CHECK_FALSE(find_decoder("llama-3-8").has_value());
    CHECK_FALSE(find_device("h20", false).has_value());
    // Llama 3 8B streams 7.50 G parameters and 128 KiB of KV for each token.
    const ModelShape shape = shape_of(*find_decoder("llama-3-8b"), 2, 2);
    CHECK(near(shape.streamed_bytes, 15.0e9, 1e-3));
    CHECK(shape.kv_bytes_per_token() == 131072);
}

TEST_CASE("disaggregation pays when what it exposes is less than what it saves") {
    const ModelShape shape = shape_of(*find_decoder("llama-3-8b"), 2, 2);
    DeviceNumbers device = *find_device("h200", false);
    device.flops = 790e12;
    CHECK(near(hiding_link_bandwidth(shape, device, {}), 7.4e9, 1e-2));
    DisaggregationCase c;
    c.prompt = 2048;
    c.output = 256;
    c.batch = 32;
    c.link_bandwidth = 50e9;
    const Disaggregation fast = disaggregation(shape, device, {}, c);
    CHECK(near(fast.transfer_seconds, 2048 * 131072 / 50e9));
    CHECK(near(fast.exposed_seconds, fast.transfer_seconds / 32 + 0.001));  // the rest hides behind prefill
    CHECK(near(fast.gain_seconds, 256 * (fast.tpot_chunked_seconds - fast.tpot_pure_seconds)));
    CHECK(fast.pays);
    c.link_bandwidth = 0.1e9;
    const Disaggregation slow = disaggregation(shape, device, {}, c);
    CHECK(near(slow.exposed_seconds, slow.transfer_seconds - slow.prefill_seconds * 31 / 32 + 0.001));
    CHECK_FALSE(slow.pays);
    c.queueing_saved_seconds = 10;
    CHECK(disaggregation(shape, device, {}, c).pays);
}

TEST_CASE("ways to divide a model are whole and leave heads whole") {
    ModelShape shape = seventy_billion();
    shape.num_heads = 6;
    const auto choices = parallel_choices(shape, 4);
    REQUIRE(choices.size() == 2);  // 4 does not divide 6 heads
    CHECK(choices[0].tensor == 2);
    CHECK(choices[0].pipeline == 2);
    CHECK(choices[1].pipeline == 4);
}
