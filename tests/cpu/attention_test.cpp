// Paged attention and the row-wise kernels against plain references in double.
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>

#include "cpu/paged_attention.hpp"
#include "cpu/vec_math.hpp"
#include "cpu/vec_portable.hpp"
#include "tests/catch.hpp"
#include "tests/cpu/random_tensor.hpp"

namespace troupe {
namespace {

constexpr std::size_t tokens = 600;
constexpr std::size_t heads = 6;
constexpr std::size_t kv_heads = 2;
constexpr std::size_t head_dim = 40;

struct Variant {
    std::uint32_t window = 0;
    float softcap = 0.0F;
    float scale = 0.0F;
    bool sinks = false;
};
const Variant variants[] = {{},
                            {1},
                            {2},
                            {37},
                            {255},
                            {256},
                            {257},
                            {0, 4.0F},
                            {0, 0, 0.3F},
                            {0, 0, 0, true},
                            {300},
                            {599},
                            {64, 0, 0, true},
                            {270, 30.0F, 0.2F, true}};

// A sequence's keys, values and queries, and what attention makes of them in double.
struct Reference {
    std::vector<float> q = random_rows(tokens * heads * head_dim, 1);
    std::vector<float> k = random_rows(tokens * kv_heads * head_dim, 2);
    std::vector<float> v = random_rows(tokens * kv_heads * head_dim, 3);
    std::vector<float> sinks = random_rows(heads, 4);

    struct Output {
        std::vector<double> values;      // [head_dim]
        std::vector<double> magnitudes;  // sums of the values' magnitudes
        double score_error = 0.0;        // what the scores' roundings can add up to
    };

    Output attend(const Variant& variant, std::size_t position, std::size_t head) const {
        const double scale = variant.scale != 0.0F ? variant.scale : 1.0 / std::sqrt(double{head_dim});
        const std::size_t first =
            variant.window == 0 || position < variant.window ? 0 : position + 1 - variant.window;
        const float* query = &q[(position * heads + head) * head_dim];
        const auto at = [&](const std::vector<float>& rows, std::size_t t) {
            return &rows[(t * kv_heads + head / (heads / kv_heads)) * head_dim];
        };
        Output out{std::vector<double>(head_dim), std::vector<double>(head_dim)};
        std::vector<double> scores;
        double top = variant.sinks ? sinks[head] : -INFINITY;
        for (std::size_t t = first; t <= position; ++t) {
            double score = 0.0;
            double magnitude = 0.0;
            for (std::size_t d = 0; d < head_dim; ++d) {
                score += double{query[d]} * at(k, t)[d] * scale;
                magnitude += std::abs(double{query[d]} * at(k, t)[d] * scale);
            }
            out.score_error = std::max(out.score_error, (head_dim + 2) * 0x1p-24 * magnitude);
            if (variant.softcap != 0.0F) {
                score = variant.softcap * std::tanh(score / variant.softcap);
                out.score_error = std::max(out.score_error, variant.softcap * 1e-6);
            }
            scores.push_back(score);
            top = std::max(top, score);
        }
        double sum = variant.sinks ? std::exp(sinks[head] - top) : 0.0;
        for (double& score : scores) sum += score = std::exp(score - top);
        for (std::size_t t = first; t <= position; ++t) {
            for (std::size_t d = 0; d < head_dim; ++d) {
                out.values[d] += scores[t - first] / sum * at(v, t)[d];
                out.magnitudes[d] += scores[t - first] / sum * std::abs(at(v, t)[d]);
            }
        }
        return out;
    }
};

// The sequence's cache in blocks of 16, and attention to it.
struct Runner {
    ModelSpec spec;
    std::unique_ptr<CpuKvPool> cache;
    ComputePool pool{2};
    const Reference& reference;
    const Variant& variant;

    Runner(const Reference& from, const Variant& chosen, KvType type = KvType::f32)
        : reference(from), variant(chosen) {
        spec.num_layers = 1;
        spec.layers.resize(1);
        spec.num_heads = heads;
        spec.num_kv_heads = kv_heads;
        spec.head_dim = head_dim;
        spec.layers[0].sliding_window = variant.window;
        spec.attention_softcap = variant.softcap;
        spec.attention_scale = variant.scale;
        cache = std::make_unique<CpuKvPool>(KvLayout(spec, type, 16), tokens / 16 + 1);
        for (std::size_t t = 0; t < tokens; ++t) {
            const std::size_t at = t * kv_heads * head_dim;
            for (std::size_t head = 0; head < kv_heads; ++head)
                store(t, head, &reference.k[at + head * head_dim], &reference.v[at + head * head_dim]);
        }
    }

    void store(std::size_t token, std::size_t head, const float* k, const float* v) {
        const KvLayout& layout = cache->layout();
        const auto block = static_cast<BlockId>(token / 16);
        const std::size_t at = token % 16;
        std::byte* k_to = cache->k(block, 0, head);
        std::byte* v_to = cache->v(block, 0, head);
        const FloatKernels& kernels = portable_float_kernels();
        kernels.store_kv(layout.type, k, head_dim, 16, k_to + at * layout.element_bytes,
                         reinterpret_cast<float*>(k_to + layout.k_scales) + at);
        kernels.store_kv(layout.type, v, head_dim, 1, v_to + at * layout.v_stride * layout.element_bytes,
                         reinterpret_cast<float*>(v_to + layout.v_scales) + at);
    }

    // Of tokens [first, end), as [end - first][heads * head_dim].
    std::vector<float> attend(KernelPath path, std::size_t first, std::size_t end) {
        ForwardBatch batch;
        for (std::size_t t = first; t < end; ++t) {
            batch.input_ids.push_back(0);
            batch.positions.push_back(static_cast<std::int32_t>(t));
        }
        for (std::size_t b = 0; b < cache->num_blocks(); ++b)
            batch.block_tables.push_back(static_cast<BlockId>(b));
        batch.query_start = {0, static_cast<std::int32_t>(end - first)};
        batch.context_lens = {static_cast<std::int32_t>(end)};
        batch.block_table_start = {0, static_cast<std::int32_t>(cache->num_blocks())};
        PagedAttention attention(spec, float_kernels(path), *cache, pool);
        attention.plan(batch);
        constexpr std::size_t stride = heads * head_dim;
        std::vector<float> out((end - first) * stride);
        attention.run(0, &reference.q[first * stride], stride,
                      variant.sinks ? std::span<const float>(reference.sinks) : std::span<const float>(),
                      out.data(), stride);
        return out;
    }
};

}  // namespace

TEST_CASE("Attention over several pieces agrees with a reference in double") {
    const Reference reference;
    for (const Variant& variant : variants) {
        Runner runner(reference, variant);
        for (const KernelPath path : all_kernel_paths) {
            if (!kernel_path_supported(path)) continue;
            const std::vector<float> out = runner.attend(path, 0, tokens);
            for (const std::size_t t : {0, 1, 15, 16, 40, 254, 255, 256, 257, 300, 511, 512, 555, 599}) {
                for (std::size_t head = 0; head < heads; ++head) {
                    const Reference::Output expected = reference.attend(variant, t, head);
                    // A score's error is a relative error of its weight, and of the sum that divides it.
                    const double relative = std::expm1(2.0 * expected.score_error) + 2e-6 + t * 0x1p-23;
                    INFO("window " << variant.window << ", cap " << variant.softcap << ", sinks "
                                   << variant.sinks << ", token " << t << ", head " << head);
                    for (std::size_t d = 0; d < head_dim; ++d) {
                        const double error = out[(t * heads + head) * head_dim + d] - expected.values[d];
                        REQUIRE(std::abs(error) <= relative * expected.magnitudes[d] + 1e-30);
                    }
                }
            }
        }
    }
}

// Of the outputs, by what rounding keys and values takes from them; these have outliers of 20 times the rest.
TEST_CASE("The types of the KV cache err as much as they should") {
    const Reference reference;
    struct Expected {
        KvType type;
        double least, most;  // relative error, root of the mean squares
    };
    for (const Expected& expected : {Expected{KvType::f32, 0, 1e-6},
                                     {KvType::f16, 1e-4, 1e-3},
                                     {KvType::bf16, 1e-3, 8e-3},
                                     {KvType::int8, 8e-3, 4e-2}}) {
        Runner runner(reference, variants[0], expected.type);
        const std::vector<float> out = runner.attend(best_kernel_path(), 0, tokens);
        double error = 0, size = 0;
        for (std::size_t t = 0; t < tokens; t += 13) {
            for (std::size_t head = 0; head < heads; ++head) {
                const auto exact = reference.attend(variants[0], t, head);
                for (std::size_t d = 0; d < head_dim; ++d) {
                    const double difference = out[(t * heads + head) * head_dim + d] - exact.values[d];
                    error += difference * difference;
                    size += exact.values[d] * exact.values[d];
                }
            }
        }
        INFO(kv_type_name(expected.type));
        CHECK(std::sqrt(error / size) >= expected.least);
        CHECK(std::sqrt(error / size) <= expected.most);
    }
}

TEST_CASE("Keys and values are stored alike on every path, and what is not finite stays so") {
    const FloatKernels& portable = portable_float_kernels();
    for (const KernelPath path : all_kernel_paths) {
        if (!kernel_path_supported(path)) continue;
        for (const KvType type : {KvType::f32, KvType::f16, KvType::bf16, KvType::int8}) {
            INFO(kernel_path_name(path) << " " << kv_type_name(type));
            for (const std::size_t n : {1, 16, 40, 64, 80, 127}) {
                for (const float by : {1.0F, 1e-35F, 1e10F, 0.0F}) {
                    std::vector<float> x = random_rows(n, static_cast<unsigned>(n));
                    for (float& value : x) value *= by;
                    std::vector<std::byte> a(n * 3 * 4), b(n * 3 * 4);
                    float scale = 0, other = 0;
                    float_kernels(path).store_kv(type, x.data(), n, 3, a.data(), &scale);
                    portable.store_kv(type, x.data(), n, 3, b.data(), &other);
                    CHECK(a == b);
                    CHECK(scale == other);
                }
            }
            std::vector<float> bad(40, 1.0F);
            bad[17] = std::numeric_limits<float>::infinity();
            std::vector<std::byte> bytes(40 * 4);
            float scale = 1.0F;
            float_kernels(path).store_kv(type, bad.data(), bad.size(), 1, bytes.data(), &scale);
            CHECK(std::isnan(scale) == (type == KvType::int8));
        }
    }
}

TEST_CASE("Attention alone, in chunks and as a whole has the same bits, on every path") {
    const Reference reference;
    constexpr std::size_t row = heads * head_dim;
    for (const Variant& variant : variants) {
        INFO("window " << variant.window << ", cap " << variant.softcap << ", sinks " << variant.sinks);
        Runner runner(reference, variant);
        const std::vector<float> whole = runner.attend(best_kernel_path(), 0, tokens);
        for (const KernelPath path : all_kernel_paths)
            if (kernel_path_supported(path)) CHECK(runner.attend(path, 0, tokens) == whole);
        for (const std::size_t chunk : {1, 7, 130}) {
            for (std::size_t first = 0; first < tokens; first += chunk) {
                const std::size_t end = std::min(tokens, first + chunk);
                const auto part = runner.attend(best_kernel_path(), first, end);
                REQUIRE(std::equal(part.begin(), part.end(), whole.begin() + static_cast<long>(first * row)));
            }
        }
    }
}

TEST_CASE("What has left the window does not matter, be it NaN") {
    const Reference reference;
    const std::vector<float> poison(head_dim, std::numeric_limits<float>::quiet_NaN());
    for (const std::uint32_t window : {1U, 37U, 300U}) {
        for (const KvType type : {KvType::f32, KvType::f16, KvType::int8}) {
            const Variant variant{window, 20.0F, 0.0F, true};
            Runner runner(reference, variant, type);
            const auto before = runner.attend(best_kernel_path(), 598, 600);
            for (std::size_t t = 0; t + window < 599; ++t) {
                for (std::size_t head = 0; head < kv_heads; ++head)
                    runner.store(t, head, poison.data(), poison.data());
            }
            CHECK(runner.attend(best_kernel_path(), 598, 600) == before);
            CHECK(runner.attend(KernelPath::portable, 598, 600) == before);
        }
    }
}

TEST_CASE("The hyperbolic tangent is the true one to float32's accuracy, and NaN stays NaN") {
    const auto tanh_of = [](float x) {
        float out[16];
        tanh(VecPortable::broadcast(x)).store(out);
        return out[3];
    };
    for (float x = -12.0F; x < 12.0F; x += 0.0037F)
        REQUIRE(std::abs(tanh_of(x) - std::tanh(double{x})) <= 4e-7 * std::abs(std::tanh(double{x})));
    CHECK(tanh_of(1e30F) == 1.0F);
    CHECK(tanh_of(1e-30F) == 1e-30F);
    CHECK(std::isnan(tanh_of(std::numeric_limits<float>::quiet_NaN())));
}

TEST_CASE("Row-wise kernels agree with references, and the paths with each other") {
    for (const KernelPath path : all_kernel_paths)
        for (const std::size_t n : {1, 15, 16, 64, 172, 576}) {
            if (!kernel_path_supported(path)) continue;
            const FloatKernels& kernels = float_kernels(path);
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

            const float product = kernels.dot(x.data(), w.data(), n);
            CHECK(product == portable_float_kernels().dot(x.data(), w.data(), n));
            a = b = x;
            kernels.clamped_swiglu(a.data(), w.data(), n, 1.702F, 0.5F);
            portable_float_kernels().clamped_swiglu(b.data(), w.data(), n, 1.702F, 0.5F);
            CHECK(a == b);
            a = b = x;
            kernels.soft_cap(a.data(), n, 0.7F);
            portable_float_kernels().soft_cap(b.data(), n, 0.7F);
            CHECK(a == b);
            std::vector<Half> c(n), d(n);
            kernels.store_kv(KvType::f16, x.data(), n, 1, reinterpret_cast<std::byte*>(c.data()), nullptr);
            portable_float_kernels().store_kv(KvType::f16, x.data(), n, 1,
                                              reinterpret_cast<std::byte*>(d.data()), nullptr);
            CHECK(std::memcmp(c.data(), d.data(), n * sizeof(Half)) == 0);
            a = b = x;
            kernels.silu_multiply(a.data(), w.data(), n);
            portable_float_kernels().silu_multiply(b.data(), w.data(), n);
            CHECK(a == b);
            for (std::size_t i = 0; i < n; ++i) {
                CHECK(a[i] ==
                      Approx(x[i] / (1.0 + std::exp(-double{x[i]})) * w[i]).epsilon(1e-5).margin(1e-6));
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
