// Paged attention beside the machine's read bandwidth: decode of many sequences, and prefill of one.
//     attention_bench [threads] [context] [window, 0: none]
// The cache of several layers is used in turns, so that keys and values come from memory, as in a model.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cpu/paged_attention.hpp"
#include "tests/cpu/random_tensor.hpp"

using namespace troupe;

namespace {

double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Shape {
    const char* name;
    std::uint32_t heads, kv_heads, head_dim;
};

ForwardBatch make_batch(std::size_t sequences, std::size_t context, std::size_t new_tokens) {
    ForwardBatch batch;
    batch.query_start = {0};
    batch.block_table_start = {0};
    const std::size_t blocks = (context + 15) / 16;
    for (std::size_t s = 0; s < sequences; ++s) {
        for (std::size_t i = 0; i < new_tokens; ++i) {
            batch.positions.push_back(static_cast<std::int32_t>(context - new_tokens + i));
        }
        for (std::size_t b = 0; b < blocks; ++b) {  // no sequence's blocks lie side by side
            batch.block_tables.push_back(static_cast<BlockId>(b * sequences + s));
        }
        batch.query_start.push_back(static_cast<std::int32_t>(batch.positions.size()));
        batch.context_lens.push_back(static_cast<std::int32_t>(context));
        batch.block_table_start.push_back(static_cast<std::int32_t>(batch.block_tables.size()));
    }
    batch.input_ids.resize(batch.positions.size());
    return batch;
}

void measure(ComputePool& pool, const Shape& shape, std::size_t sequences, std::size_t context,
             std::size_t new_tokens, std::uint32_t window) {
    ModelSpec spec;
    spec.num_heads = shape.heads;
    spec.num_kv_heads = shape.kv_heads;
    spec.head_dim = shape.head_dim;
    const std::size_t layer_bytes =
        sequences * context * std::size_t{2} * shape.kv_heads * shape.head_dim * sizeof(Half);
    spec.num_layers =
        static_cast<std::uint32_t>(std::clamp<std::size_t>((std::size_t{128} << 20) / layer_bytes, 1, 32));
    spec.layers.resize(spec.num_layers);
    for (LayerSpec& layer : spec.layers) layer.sliding_window = window;
    const ForwardBatch batch = make_batch(sequences, context, new_tokens);
    CpuKvPool cache(KvLayout(spec, KvType::f16, 16), (context + 15) / 16 * sequences);
    const auto values = random_rows(4096, 1);
    auto* halves = reinterpret_cast<Half*>(cache.block(0));
    const std::size_t count = cache.num_blocks() * cache.bytes_per_block() / sizeof(Half);
    for (std::size_t i = 0; i < count; ++i) halves[i] = to_half(values[i % values.size()]);
    const std::size_t columns = std::size_t{shape.heads} * shape.head_dim;
    const auto q = random_rows(batch.positions.size() * columns, 2);
    std::vector<float> out(q.size());
    PagedAttention attention(spec, float_kernels(best_kernel_path()), cache, pool);
    attention.plan(batch);
    double best = 1e9;
    for (int trial = 0; trial < 15; ++trial) {
        const double start = now();
        for (std::uint32_t layer = 0; layer < spec.num_layers; ++layer)
            attention.run(layer, q.data(), columns, {}, out.data(), columns);
        best = std::min(best, (now() - start) / spec.num_layers);
    }
    std::printf("%-12s %3zu x %5zu of %5zu tokens: %9.1f us a layer, %6.1f GB/s of the cache\n", shape.name,
                sequences, new_tokens, context, best * 1e6, static_cast<double>(layer_bytes) / best * 1e-9);
    std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
    ComputePool pool(argc > 1 ? static_cast<unsigned>(std::atoi(argv[1])) : 0);
    const std::size_t context = argc > 2 ? static_cast<std::size_t>(std::atoi(argv[2])) : 1024;
    const auto window = static_cast<std::uint32_t>(argc > 3 ? std::atoi(argv[3]) : 0);
    const ComputePool::Turn turn = pool.acquire();
    for (const Shape& shape :
         {Shape{"9/3 x 64", 9, 3, 64}, {"32/8 x 64", 32, 8, 64}, {"32/8 x 128", 32, 8, 128}}) {
        measure(pool, shape, 1, context, 1, window);
        measure(pool, shape, 32, context, 1, window);
        measure(pool, shape, 1, context, context / 2, window);
    }
}
