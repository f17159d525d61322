// A layer's mixture of experts beside what the machine can do, its experts chosen anew for every token.
//     moe_bench [threads] [qwen3 or gpt-oss]
// One token: GB/s of the weights that it is sent to, router included, and its share of the measured read
// bandwidth. More: GOP/s of the experts' products, and their share of the measured peak of vpdpbusd.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "cpu/expert_ops.hpp"
#include "cpu/machine_peaks.hpp"
#include "tests/cpu/random_tensor.hpp"

using namespace troupe;

namespace {

double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Shape {
    const char* name;
    DType dtype;
    std::uint32_t hidden;
    MoeSpec moe;
};

const Shape shapes[] = {
    {"qwen3",  // 30B-A3B
     DType::q4_k,
     2048,
     {.num_experts = 128, .experts_per_token = 8, .intermediate_size = 768, .normalize = true}},
    {"gpt-oss",  // 20b
     DType::mxfp4,
     2880,
     {.num_experts = 32,
      .experts_per_token = 4,
      .intermediate_size = 2880,
      .routing = MoeSpec::Routing::top_k_then_softmax,
      .activation = MoeSpec::Activation::clamped_swiglu}}};

struct Layer {
    WeightArena arena;
    CpuMoe moe;

    Layer(ComputePool& pool, const Shape& shape) {
        const auto pack = [&](DType dtype, std::uint32_t rows, std::uint32_t columns) -> CpuLinear {
            const RandomTensor random(dtype, rows, columns, rows);
            return {PackedMatrix::pack(pool, random.tensor, Arithmetic::native, arena), {}};
        };
        moe.router = pack(DType::f32, shape.moe.num_experts, shape.hidden);
        const std::uint32_t inner = shape.moe.intermediate_size;
        for (std::uint32_t i = 0; i < shape.moe.num_experts; ++i) {
            moe.experts.push_back({pack(shape.dtype, inner, shape.hidden),
                                   pack(shape.dtype, inner, shape.hidden),
                                   pack(shape.dtype, shape.hidden, inner)});
        }
    }
    double expert_bytes() const {
        const CpuExpert& one = moe.experts[0];
        return static_cast<double>(one.gate.matrix.bytes() + one.up.matrix.bytes() + one.down.matrix.bytes());
    }
};

}  // namespace

int main(int argc, char** argv) {
    ComputePool pool(argc > 1 ? static_cast<unsigned>(std::atoi(argv[1])) : 0);
    const ComputePool::Turn turn = pool.acquire();
    ReadMeter meter;
    for (const Shape& shape : shapes) {
        if (argc > 2 && std::string(argv[2]) != shape.name) continue;
        Layer layer(pool, shape);
        ExpertOps experts(best_kernel_path(), pool);
        std::printf("%s, %s, %u threads, %s:", shape.name, dtype_name(shape.dtype), pool.num_threads(),
                    kernel_path_name(best_kernel_path()));
        const double chosen = shape.moe.experts_per_token;
        const double bytes =
            chosen * layer.expert_bytes() + static_cast<double>(layer.moe.router.matrix.bytes());
        const double operations = 6.0 * chosen * shape.hidden * shape.moe.intermediate_size;
        for (const std::size_t tokens : {1, 8, 32, 128, 512}) {
            constexpr std::size_t different = 16;
            auto x = random_rows(tokens * different * shape.hidden, tokens);
            std::vector<float> out(tokens * shape.hidden);
            const int trials = tokens > 32 ? 6 : 30;
            double best = 1e9;
            double peak = 0.0;
            for (int trial = 0; trial < trials; ++trial) {
                peak = std::max(peak, tokens == 1 ? meter.measure(pool) : measure_peak(pool, PeakKind::int8));
                const int repeats = tokens == 1 ? 8 : 1;
                const double start = now();
                for (int i = 0; i < repeats; ++i) {
                    const std::size_t from = (static_cast<std::size_t>(trial * repeats + i)) % different;
                    experts.run(shape.moe, layer.moe,
                                {x.data() + from * tokens * shape.hidden, tokens, shape.hidden, shape.hidden},
                                {out.data(), tokens, shape.hidden, shape.hidden});
                }
                best = std::min(best, (now() - start) / repeats);
            }
            const double rate = tokens == 1 ? bytes / best : operations * static_cast<double>(tokens) / best;
            std::printf("  M = %zu: %.1f %s (%.0f%%), %.2f ms", tokens, rate * 1e-9,
                        tokens == 1 ? "GB/s" : "GOP/s", peak > 0 ? 100 * rate / peak : 0.0, best * 1e3);
            std::fflush(stdout);
        }
        std::printf("\n");
    }
}
