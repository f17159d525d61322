// Paged attention and the row-wise kernels against plain references in double.
#include <cmath>
#include <cstring>

#include "cpu/paged_attention.hpp"
#include "tests/catch.hpp"
#include "tests/cpu/random_tensor.hpp"

namespace troupe {
namespace {

// softmax(q k^T / sqrt(d)) v over tokens [0, context).
std::vector<double> reference_attention(const float* q, const std::vector<float>& k,
                                        const std::vector<float>& v, std::size_t context, std::size_t stride,
                                        std::size_t head_dim) {
    std::vector<double> scores(context);
    double top = -INFINITY;
    for (std::size_t t = 0; t < context; ++t) {
        for (std::size_t d = 0; d < head_dim; ++d) scores[t] += double{q[d]} * k[t * stride + d];
        scores[t] /= std::sqrt(static_cast<double>(head_dim));
        top = std::max(top, scores[t]);
    }
    double sum = 0.0;
    for (double& score : scores) sum += score = std::exp(score - top);
    std::vector<double> out(head_dim);
    for (std::size_t t = 0; t < context; ++t) {
        for (std::size_t d = 0; d < head_dim; ++d) out[d] += scores[t] / sum * v[t * stride + d];
    }
    return out;
}

void store(CpuKvPool& cache, std::size_t token, std::size_t head, const float* k, const float* v) {
    const KvLayout& layout = cache.layout();
    auto* k_to = reinterpret_cast<float*>(cache.k(static_cast<BlockId>(token / 16), 0, head)) + token % 16;
    for (std::size_t d = 0; d < layout.head_dim; ++d) k_to[d * 16] = k[d];
    std::memcpy(cache.v(static_cast<BlockId>(token / 16), 0, head) + token % 16 * layout.v_stride * 4, v,
                layout.head_dim * 4);
}

}  // namespace

TEST_CASE("Attention over several pieces agrees with a reference in double") {
    for (const KernelPath path : {KernelPath::portable, best_kernel_path()}) {
        ModelSpec spec;
        spec.num_layers = 1;
        spec.layers.resize(1);
        spec.num_heads = 6;
        spec.num_kv_heads = 2;
        spec.head_dim = 40;
        constexpr std::size_t tokens = 600;
        const std::size_t q_stride = spec.num_heads * spec.head_dim;
        const std::size_t kv_stride = spec.num_kv_heads * spec.head_dim;
        const auto q = random_rows(tokens * q_stride, 1);
        const auto k = random_rows(tokens * kv_stride, 2);
        const auto v = random_rows(tokens * kv_stride, 3);
        CpuKvPool cache(KvLayout(spec, KvType::f32, 16), 38);
        ForwardBatch batch;
        for (std::size_t t = 0; t < tokens; ++t) {
            batch.input_ids.push_back(0);
            batch.positions.push_back(static_cast<std::int32_t>(t));
            for (std::size_t head = 0; head < 2; ++head) {
                store(cache, t, head, &k[t * kv_stride + head * 40], &v[t * kv_stride + head * 40]);
            }
        }
        for (BlockId block = 0; block < 38; ++block) batch.block_tables.push_back(block);
        batch.query_start = {0, tokens};
        batch.context_lens = {tokens};
        batch.block_table_start = {0, 38};
        ComputePool pool(2);
        PagedAttention attention(spec, float_kernels(path), cache, pool);
        attention.plan(batch);
        std::vector<float> out(q.size());
        attention.run(0, q.data(), q_stride, out.data(), q_stride);
        for (const std::size_t t : {0, 1, 15, 16, 254, 255, 256, 257, 511, 512, 599}) {
            for (std::size_t head = 0; head < 6; ++head) {
                const std::vector<float> k_head(k.begin() + static_cast<std::ptrdiff_t>(head / 3 * 40),
                                                k.end());
                const std::vector<float> v_head(v.begin() + static_cast<std::ptrdiff_t>(head / 3 * 40),
                                                v.end());
                const auto expected =
                    reference_attention(&q[t * q_stride + head * 40], k_head, v_head, t + 1, kv_stride, 40);
                // Scores reach hundreds here; a score's rounding is a relative error of its weight.
                for (std::size_t d = 0; d < 40; ++d) {
                    REQUIRE(out[t * q_stride + head * 40 + d] ==
                            Approx(expected[d]).margin(2e-3).epsilon(1e-3));
                }
            }
        }
    }
}

TEST_CASE("Row-wise kernels agree with references, and the paths with each other") {
    const FloatKernels& kernels = float_kernels(best_kernel_path());
    for (const std::size_t n : {1, 15, 16, 64, 172, 576}) {
        const auto x = random_rows(n, 5);
        const auto w = random_rows(n, 6);
        std::vector<float> a(n);
        std::vector<float> b(n);
        kernels.rms_norm(x.data(), w.data(), n, 1e-5F, a.data());
        portable_float_kernels().rms_norm(x.data(), w.data(), n, 1e-5F, b.data());
        CHECK(a == b);
        double squares = 0.0;
        for (const float value : x) squares += double{value} * value;
        const double scale = 1.0 / std::sqrt(squares / static_cast<double>(n) + 1e-5);
        for (std::size_t i = 0; i < n; ++i) CHECK(a[i] == Approx(x[i] * scale * w[i]).epsilon(1e-5));

        a = b = x;
        kernels.silu_multiply(a.data(), w.data(), n);
        portable_float_kernels().silu_multiply(b.data(), w.data(), n);
        CHECK(a == b);
        for (std::size_t i = 0; i < n; ++i) {
            CHECK(a[i] == Approx(x[i] / (1.0 + std::exp(-double{x[i]})) * w[i]).epsilon(1e-5).margin(1e-6));
        }
    }
}

TEST_CASE("Rotation turns pairs by their angle, side by side or half a head apart") {
    const float cosines[] = {0.0F, 1.0F};  // 90 degrees, none
    const float sines[] = {1.0F, 0.0F};
    float halves[] = {1, 2, 3, 4};
    portable_float_kernels().rope(halves, {1, 4, 4, false, cosines, sines});
    CHECK(std::vector<float>(halves, halves + 4) == std::vector<float>{-3, 2, 1, 4});
    float pairs[] = {1, 2, 3, 4};
    portable_float_kernels().rope(pairs, {1, 4, 4, true, cosines, sines});
    CHECK(std::vector<float>(pairs, pairs + 4) == std::vector<float>{-2, 1, 3, 4});
}

}  // namespace troupe
