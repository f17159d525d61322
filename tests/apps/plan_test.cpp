#include <cmath>

#include "apps/plan_report.hpp"
#include "apps/quantity.hpp"
#include "test_paths.hpp"
#include "tests/catch.hpp"

using namespace troupe;

namespace {

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::string answer(const PlanFlags& flags) {
    const auto plan = read_plan(flags);
    return plan ? plan_json(*plan) : "error: " + plan.error().message;
}

PlanFlags seventy_billion() {
    PlanFlags flags;
    flags.params = "70e9";
    flags.layers = "80";
    flags.kv_heads = "8";
    flags.head_dim = "128";
    flags.kv_dtype = "f16";
    flags.gpus = "8";
    flags.gpu_memory = "80GB";
    flags.weights_per_gpu = "17.5GB";
    flags.bandwidth = "2TB/s";
    flags.tpot = "50ms";
    return flags;
}

}  // namespace

TEST_CASE("sizes, rates and times have the units that they are written with") {
    CHECK(parse_bytes("80GB", "--x").value() == 80e9);
    CHECK(parse_bytes("80 GiB", "--x").value() == 80.0 * (1ULL << 30));
    CHECK(parse_bytes("80gB", "--x").value() == 80e9);
    CHECK(parse_bytes("80gb", "--x").value() == 80e9);
    CHECK(parse_bytes("80G", "--x").value() == 80e9);
    CHECK(parse_bytes("1.5e9", "--x").value() == 1.5e9);
    CHECK(parse_rate("2e12", "--x").value() == 2e12);
    CHECK(parse_rate("2TB/s", "--x").value() == 2e12);
    CHECK(parse_rate("1TiB/s", "--x").value() == static_cast<double>(1ULL << 40));
    CHECK(parse_rate("400Gbit/s", "--x").value() == 50e9);
    CHECK(parse_rate("2tB/s", "--x").value() == 2e12);
    CHECK(parse_rate("2TB/S", "--x").value() == 2e12);
    CHECK(parse_rate("8GBit/s", "--x").value() == 1e9);
    for (const char* unclear : {"2tb/s", "8Gb/s", "8Gbps", "2"})
        CHECK(has(parse_rate(unclear, "--x").error().message, "Gbit/s"));
    for (const char* unclear : {"80Gb", "80"})
        CHECK(has(parse_bytes(unclear, "--x").error().message, "80GB"));
    CHECK(parse_whole("1.1K", "--x").value() == 1100);
    for (const char* bad : {"0.5", "0.001", "1.5", "0"}) CHECK_FALSE(parse_whole(bad, "--x").ok());
    CHECK(parse_flops("989TFLOPS", "--x").value() == 989e12);
    CHECK(parse_flops("1e15", "--x").value() == 1e15);
    CHECK(parse_seconds("50ms", "--x").value() == 0.05);
    CHECK(parse_count("7B", "--x").value() == 7e9);
    CHECK(parse_dtype("bf16", "--x").value() == 2);
    CHECK(parse_dtype("INT4", "--x").value() == 0.5);
    CHECK(parse_dtype("q4_0", "--x").value() == 18.0 / 32);
    CHECK(parse_dtype("int4-g128", "--x").value() == 0.515625);
    for (const char* bad : {"", "GB", "-1GB", "0GB", "80GBs", "nanGB", "1e999"})
        CHECK_FALSE(parse_bytes(bad, "--x").ok());
    for (const char* bad : {"2TB", "2T", "2TB/h"}) CHECK_FALSE(parse_rate(bad, "--x").ok());
    CHECK_FALSE(parse_seconds("50", "--x").ok());
    CHECK(has(parse_dtype("f12", "--weight-dtype").error().message, "--weight-dtype"));
}

TEST_CASE("a plan of weights alone") {
    PlanFlags flags;
    flags.params = "7e9";
    flags.weight_dtype = "f16";
    flags.bandwidth = "2TB/s";
    CHECK(has(answer(flags), "\"decode_tokens_per_second_max\":142.9"));
    flags.weight_dtype = "int8";
    CHECK(has(answer(flags), "\"decode_tokens_per_second_max\":285.7"));
    flags.weight_dtype = "int4";
    flags.bandwidth = "1TB/s";
    CHECK(has(answer(flags), "\"decode_tokens_per_second_max\":285.7"));
}

TEST_CASE("a plan of batches, at one context and as a table") {
    PlanFlags flags = seventy_billion();
    const std::string table = answer(flags);
    CHECK(has(table, "\"contexts\":[{\"context\":512,\"max_batch\":2980,\"binding\":\"memory\""));
    flags.context = "2048";
    CHECK(has(answer(flags), "\"context\":2048,\"max_batch\":745,\"binding\":\"memory\""));
    flags.kv_dtype = "f8";
    CHECK(has(answer(flags), "\"max_batch\":1490,\"binding\":\"memory\""));
    flags.tpot = "20ms";
    CHECK(has(answer(flags), "\"max_batch\":536,\"binding\":\"bandwidth\""));
    flags.gpu_memory = "16GB";
    CHECK(has(answer(flags), "\"weights_fit\":false"));
    CHECK(has(answer(flags), "\"max_batch\":0,\"binding\":\"memory\""));
}

TEST_CASE("a batch of a mixture of experts reads more than one token's parameters") {
    PlanFlags flags;
    flags.params = "47e9";
    flags.active_params = "13e9";
    flags.weight_dtype = "f16";
    flags.bandwidth = "3.35TB/s";
    flags.gpu_memory = "141GB";
    flags.layers = "32";
    flags.kv_heads = "8";
    flags.head_dim = "128";
    flags.kv_dtype = "f16";
    flags.context = "2048";
    flags.tpot = "20ms";
    // 2 * 26 GB in 15.5 ms; three would read 78 GB in 23.3 ms.
    CHECK(has(answer(flags), "\"max_batch\":2,\"binding\":\"bandwidth\""));
    CHECK(has(answer(flags), "\"decode_tokens_per_second_max\":128.8"));  // 3350 / 26
    flags.tpot = "30ms";  // all 94 GB in 28.1 ms, and 0.080 ms of KV a sequence: 24, which memory allows, too
    const auto all = read_plan(flags).value();
    CHECK(streamed_bytes(all.shape, 1) == 26e9);
    CHECK(streamed_bytes(all.shape, 3) == 78e9);
    CHECK(streamed_bytes(all.shape, 4) == 94e9);
    CHECK(has(answer(flags), "\"max_batch\":24,"));
    // Sizes from the device's share: the same proportions.
    flags.weight_dtype.clear();
    flags.weights_per_gpu = "94GB";
    CHECK(has(answer(flags), "\"max_batch\":24,"));
    CHECK(std::abs(streamed_bytes(read_plan(flags).value().shape, 1) - 26e9) < 1);
}

TEST_CASE("what is missing is named") {
    PlanFlags flags;
    CHECK(has(answer(flags), "--params"));
    flags.params = "7e9";
    CHECK(has(answer(flags), "--weight-dtype"));
    flags.weight_dtype = "f16";
    CHECK(has(answer(flags), "--bandwidth"));
    flags.bandwidth = "2TB/s";
    flags.tpot = "50ms";
    const std::string error = answer(flags);
    for (const char* flag : {"--layers", "--kv-heads", "--head-dim", "--kv-dtype", "--gpu-memory"})
        CHECK(has(error, flag));
    flags.tpot.clear();
    flags.links = {"50GB/s"};
    CHECK(has(answer(flags), "--flops"));
    PlanFlags divided = seventy_billion();
    divided.tensor = "3";
    CHECK(has(answer(divided), "--gpus"));
}

TEST_CASE("a model is divided only among as many devices as divide it") {
    PlanFlags flags;
    flags.model = "llama-3-8b";
    flags.device = "h100";
    flags.context = "2048";
    flags.gpus = "3";
    const auto plan = read_plan(flags).value();
    CHECK(plan.parallel.tensor == 1);
    CHECK(plan.parallel.pipeline == 3);
    flags.tensor = "3";
    CHECK(has(answer(flags), "--tp 3 does not divide the model's 32 attention heads"));
    flags.tensor.clear();
    flags.gpus = flags.pipeline = "64";
    CHECK(has(answer(flags), "--pp 64 is more than the model's 32 layers"));
    flags = seventy_billion();
    flags.gpus.clear();
    flags.tensor = "3";
    CHECK(has(answer(flags), "--tp 3 does not divide the model's 8 KV heads"));
    flags.prompts = {"0.5"};
    flags.tensor.clear();
    flags.flops = "1e15";
    flags.heads = "64";
    CHECK(has(answer(flags), "--prompt-len"));
}

TEST_CASE("what disaggregation gains depends on the output's length, unless the batch is given") {
    PlanFlags flags;
    flags.device = "h100";
    flags.model = "llama-3-8b";
    flags.links = {"50GB/s"};
    flags.prompts = {"2048"};
    flags.outputs = {"32", "256", "1024"};
    const auto gains = [&] {
        std::vector<double> values;
        const std::string text = answer(flags), key = "\"gain_ms\":";
        for (std::size_t at = text.find(key); at != std::string::npos; at = text.find(key, at + 1))
            values.push_back(std::stod(text.substr(at + key.size())));
        return values;
    };
    const auto free = gains();
    REQUIRE(free.size() == 3);
    CHECK(free[1] > 6 * free[0]);
    CHECK(free[2] > 2 * free[1]);
    // A chunk of 512 tokens in each step, of requests that stay for 256 steps and bring 4 chunks.
    CHECK(has(answer(flags), "\"output\":256,\"batch\":64,"));
    // In the life of a request as many prompts are read as there are others, however long it is.
    flags.batch = "8";
    const auto given = gains();
    CHECK(given[2] < 1.3 * given[1]);
    CHECK(given[2] > given[1] / 1.3);
}

TEST_CASE("a plan of a model's files and of its name") {
    PlanFlags flags;
    flags.device = "h100";
    flags.model = "llama-3-8b";
    const std::string named = answer(flags);
    CHECK(has(named, "\"kv_bytes_per_token\":131072"));
    CHECK(has(named, "\"disaggregation\":{"));
    flags.model = TROUPE_TEST_DATA "/stories260k/stories260k-F32.gguf";
    const std::string file = answer(flags);
    CHECK(has(file, "\"kv_bytes_per_token\":640"));  // 2 * 5 layers * 4 heads * 8 elements * 2 bytes
    flags.model = TROUPE_TEST_DATA "/stories260k";
    CHECK(has(answer(flags), "\"kv_bytes_per_token\":640"));
    flags.model = "no-such-model";
    CHECK(has(answer(flags), "llama-3-70b"));
}
