#include "cpu/packed_matrix.hpp"

#include <array>
#include <cmath>
#include <limits>
#include <memory>

#include "model/block_format.hpp"
#include "tests/catch.hpp"
#include "tests/cpu/random_tensor.hpp"

using namespace troupe;

namespace {

std::vector<KernelPath> supported_paths() {
    std::vector<KernelPath> paths;
    for (const KernelPath path : all_kernel_paths) {
        if (kernel_path_supported(path)) {
            paths.push_back(path);
        } else {
            WARN("not tested, since this CPU cannot run it: " << kernel_path_name(path));
        }
    }
    return paths;
}

// W x for the rows [first, first + count) of x[..][columns], as [count][W.rows].
std::vector<float> product(ComputePool& pool, const PackedMatrix& matrix, const std::vector<float>& x,
                           std::size_t first, std::size_t count, KernelPath path) {
    Activations activations(path);
    const std::size_t columns = matrix.columns();
    activations.bind(x.data() + first * columns, count, columns, columns);
    if (matrix.wants_int8()) activations.quantize(pool);
    std::vector<float> out(count * matrix.rows(), -1.0F);
    const Product one{&matrix, out.data(), matrix.rows()};
    multiply(pool, {&one, 1}, activations, path);
    return out;
}

bool same_bits(const float* a, const float* b, std::size_t count) {
    return std::memcmp(a, b, count * sizeof(float)) == 0;
}

struct Shape {
    std::uint32_t rows, columns;
};

}  // namespace

TEST_CASE("a row's products do not depend on the batch, the threads or the instruction set",
          "[packed_matrix]") {
    const std::vector<KernelPath> paths = supported_paths();
    ComputePool one(1), two(2), three(3);
    std::uint64_t seed = 1;
    for (DType dtype : all_dtypes) {
        const bool quantized = block_columns(dtype) > 1;
        std::vector<Shape> shapes = {{33, 32}, {96, 64}, {100, 576}, {192, 2048}};
        if (block_columns(dtype) == 256) shapes = {{33, 256}, {100, 768}, {192, 2048}};
        if (!quantized) shapes.push_back({70, 43});  // an odd number of columns
        for (const Shape shape : shapes) {
            constexpr std::size_t most = 40;
            const RandomTensor weights(dtype, shape.rows, shape.columns, ++seed);
            WeightArena arena;
            const auto matrix = PackedMatrix::pack(two, weights.tensor, Arithmetic::native, arena);
            CHECK(matrix.wants_int8() == quantized);
            const auto x = random_rows(most * shape.columns, ++seed);
            std::vector<float> alone;
            for (std::size_t m = 0; m < most; ++m) {
                const auto row = product(one, matrix, x, m, 1, KernelPath::portable);
                alone.insert(alone.end(), row.begin(), row.end());
            }
            for (KernelPath path : paths) {
                for (std::size_t count = 1; count <= most; ++count) {
                    ComputePool& pool = *std::array{&one, &two, &three}[count % 3];
                    const std::size_t first = most - count;
                    const auto together = product(pool, matrix, x, first, count, path);
                    INFO(dtype_name(dtype) << " " << shape.rows << " x " << shape.columns << ", " << count
                                           << " rows, " << kernel_path_name(path));
                    REQUIRE(same_bits(together.data(), alone.data() + first * shape.rows, together.size()));
                }
            }
        }
    }
}

TEST_CASE("passes of many rows change nothing", "[packed_matrix]") {
    ComputePool pool(2);
    const KernelPath path = best_kernel_path();
    for (DType dtype : all_dtypes) {
        constexpr std::size_t most = 300, columns = 256, rows = 72;
        const RandomTensor weights(dtype, rows, columns, 7);
        WeightArena arena;
        const auto matrix = PackedMatrix::pack(pool, weights.tensor, Arithmetic::native, arena);
        const auto x = random_rows(most * columns, 8);
        const auto together = product(pool, matrix, x, 0, most, path);
        for (std::size_t m = 0; m < most; m += 7) {
            const auto alone = product(pool, matrix, x, m, 1, path);
            INFO(dtype_name(dtype) << " row " << m);
            REQUIRE(same_bits(alone.data(), together.data() + m * rows, rows));
        }
    }
}

// Each output is a chain of at most 2 columns / 16 (quantized: product, minimum) or `columns` (float)
// roundings, each of at most eps / 2 of what the terms can add up to, plus 2 in each term's factors.
TEST_CASE("products agree with a double reference within the arithmetic's own error", "[packed_matrix]") {
    ComputePool pool(2);
    constexpr std::size_t count = 7;
    for (const Shape shape : {Shape{100, 32}, Shape{65, 576}, Shape{100, 256}, Shape{40, 2048}}) {
        const auto x = random_rows(count * shape.columns, 11);
        for (DType dtype : all_dtypes) {
            if (shape.columns % block_columns(dtype) != 0) continue;
            for (Arithmetic arithmetic : {Arithmetic::native, Arithmetic::exact_f32}) {
                const RandomTensor weights(dtype, shape.rows, shape.columns, 12);
                WeightArena arena;
                const auto matrix = PackedMatrix::pack(pool, weights.tensor, arithmetic, arena);
                CHECK_FALSE((arithmetic == Arithmetic::exact_f32 && matrix.wants_int8()));
                const auto out = product(pool, matrix, x, 0, count, best_kernel_path());
                Activations quantized;
                quantized.bind(x.data(), count, shape.columns, shape.columns);
                quantized.quantize(pool);
                std::vector<float> row(shape.columns);
                const double roundings = 4.0 + (matrix.wants_int8() ? shape.columns / 8.0 : shape.columns);
                const bool has_minimum =
                    block_format(dtype) && block_format(dtype)->minimum != BlockFormat::Minimum::none;
                for (std::uint32_t n = 0; n < shape.rows; ++n) {
                    dequantize_row(weights.tensor, n, row.data());
                    for (std::size_t m = 0; m < count; ++m) {
                        double exact = 0, magnitude = 0;
                        for (std::size_t k = 0; k < shape.columns; ++k) {
                            double value = x[m * shape.columns + k];
                            if (matrix.wants_int8()) {
                                value = static_cast<double>(quantized.q()[m * quantized.q_stride() + k]) *
                                        static_cast<double>(
                                            quantized.scales()[m * quantized.num_blocks() + k / 32]);
                            }
                            exact += row[k] * value;
                            // Minimums are a term of their own, so cancellation between d * q and m counts.
                            magnitude += (std::abs(row[k]) + (has_minimum ? 0.25 : 0.0)) * std::abs(value);
                        }
                        INFO(dtype_name(dtype)
                             << " " << shape.rows << " x " << shape.columns << " n " << n << " m " << m);
                        REQUIRE(std::abs(out[m * shape.rows + n] - exact) <= roundings * 0x1p-24 * magnitude);
                    }
                }
            }
        }
    }
}

TEST_CASE("exact_f32 gives the same bits on every path", "[packed_matrix]") {
    ComputePool pool(2);
    for (DType dtype : all_dtypes) {
        const RandomTensor weights(dtype, 70, 512, 21);
        WeightArena arena;
        const auto matrix = PackedMatrix::pack(pool, weights.tensor, Arithmetic::exact_f32, arena);
        const auto x = random_rows(5 * 512, 22);
        const auto reference = product(pool, matrix, x, 0, 5, KernelPath::portable);
        for (KernelPath path : supported_paths()) {
            const auto out = product(pool, matrix, x, 0, 5, path);
            CHECK(same_bits(out.data(), reference.data(), out.size()));
        }
    }
}

TEST_CASE("several products of one input, and nothing written outside of them", "[packed_matrix]") {
    ComputePool pool(3);
    constexpr std::size_t columns = 256, count = 9;
    const RandomTensor q(DType::q4_1, 100, columns, 31), k(DType::q8_0, 33, columns, 32),
        v(DType::f16, 500, columns, 33);
    WeightArena arena;
    std::vector<PackedMatrix> matrices;
    for (const Tensor& tensor : {q.tensor, k.tensor, v.tensor}) {
        matrices.push_back(PackedMatrix::pack(pool, tensor, Arithmetic::native, arena));
    }
    // A stride wider than the row, as for activations held in a larger buffer.
    constexpr std::size_t x_stride = columns + 8;
    const auto x = random_rows(count * x_stride, 34);
    std::vector<float> tight;
    for (std::size_t m = 0; m < count; ++m) {
        tight.insert(tight.end(), x.begin() + m * x_stride, x.begin() + m * x_stride + columns);
    }
    for (KernelPath path : supported_paths()) {
        Activations activations(path);
        activations.bind(x.data(), count, columns, x_stride);
        activations.quantize(pool);
        constexpr std::size_t gap = 3;
        std::vector<std::vector<float>> outs;
        std::vector<Product> products;
        for (const PackedMatrix& matrix : matrices) outs.emplace_back(count * (matrix.rows() + gap), 77.0F);
        for (std::size_t i = 0; i < 3; ++i)
            products.push_back({&matrices[i], outs[i].data(), matrices[i].rows() + gap});
        multiply(pool, products, activations, path);
        for (std::size_t i = 0; i < 3; ++i) {
            const std::size_t rows = matrices[i].rows();
            const auto expected = product(pool, matrices[i], tight, 0, count, path);
            for (std::size_t m = 0; m < count; ++m) {
                INFO("product " << i << " row " << m);
                REQUIRE(same_bits(outs[i].data() + m * (rows + gap), expected.data() + m * rows, rows));
                for (std::size_t g = 0; g < gap; ++g) REQUIRE(outs[i][m * (rows + gap) + rows + g] == 77.0F);
            }
        }
    }
}

TEST_CASE("activations are quantized alike on every path", "[activations]") {
    ComputePool pool(1);
    constexpr float inf = std::numeric_limits<float>::infinity(),
                    nan = std::numeric_limits<float>::quiet_NaN();
    constexpr float largest = std::numeric_limits<float>::max(),
                    tiny = std::numeric_limits<float>::denorm_min();
    auto x = random_rows(32 * 400, 41);
    const float special[] = {inf,  -inf, nan,   -nan,   largest,   -largest,
                             tiny, 0.0F, -0.0F, 1e-30F, 0.99e-30F, 1e-38F};
    for (std::size_t i = 0; i < std::size(special); ++i) {  // each among others, and alone among zeros
        x[32 * i + i] = special[i];
        for (std::size_t k = 0; k < 32; ++k) x[32 * (20 + i) + k] = k == i ? special[i] : 0.0F;
    }
    for (std::size_t k = 0; k < 32; ++k)
        x[32 * 40 + k] = static_cast<float>(k) - 0.5F;  // ties: scale not 1, still
    Activations reference(KernelPath::portable);
    reference.bind(x.data(), 1, x.size(), x.size());
    reference.quantize(pool);
    for (KernelPath path : supported_paths()) {
        Activations a(path);
        a.bind(x.data(), 1, x.size(), x.size());
        a.quantize(pool);
        for (std::size_t b = 0; b < a.num_blocks(); ++b) {
            INFO("block " << b << " " << kernel_path_name(path));
            REQUIRE(std::memcmp(a.q() + 32 * b, reference.q() + 32 * b, 32) == 0);
            REQUIRE(same_bits(a.scales() + b, reference.scales() + b, 1));
            REQUIRE(a.negated_sums()[b] == reference.negated_sums()[b]);
            REQUIRE(a.negated_half_sums()[2 * b] == reference.negated_half_sums()[2 * b]);
            REQUIRE(a.negated_half_sums()[2 * b] + a.negated_half_sums()[2 * b + 1] == a.negated_sums()[b]);
            REQUIRE((same_bits(a.scaled_sums() + b, reference.scaled_sums() + b, 1) ||
                     (std::isnan(a.scaled_sums()[b]) && std::isnan(reference.scaled_sums()[b]))));
            // What it means: within half a step, sums as said, and bad values are never hidden.
            bool finite = true;
            int sum = 0;
            for (std::size_t k = 0; k < 32; ++k) {
                finite = finite && std::isfinite(x[32 * b + k]);
                sum += a.q()[32 * b + k];
            }
            REQUIRE(a.negated_sums()[b] == -sum);
            if (!finite) {
                REQUIRE(std::isnan(a.scales()[b]));
                continue;
            }
            const double step = a.scales()[b];
            for (std::size_t k = 0; k < 32; ++k) {
                REQUIRE(std::abs(x[32 * b + k] - step * a.q()[32 * b + k]) <= 0.5001 * step + 1e-30);
            }
        }
    }
}

TEST_CASE("a row with a NaN or an infinity spoils its own products only", "[packed_matrix]") {
    ComputePool pool(2);
    for (KernelPath path : supported_paths()) {
        for (DType dtype : all_dtypes) {
            const RandomTensor weights(dtype, 64, 256, 51);
            WeightArena arena;
            const auto matrix = PackedMatrix::pack(pool, weights.tensor, Arithmetic::native, arena);
            auto x = random_rows(7 * 256, 52);
            const auto good = product(pool, matrix, x, 0, 7, path);
            x[3 * 256 + 40] = std::numeric_limits<float>::quiet_NaN();
            const auto bad = product(pool, matrix, x, 0, 7, path);
            for (std::size_t m = 0; m < 7; ++m) {
                if (m == 3)
                    CHECK(std::isnan(bad[m * 64]));
                else
                    CHECK(same_bits(good.data() + m * 64, bad.data() + m * 64, 64));
            }
        }
    }
}

TEST_CASE("the arena hands out zeroed, aligned, separate memory", "[weight_arena]") {
    WeightArena arena;
    std::vector<std::byte*> given;
    const std::size_t sizes[] = {1, 64, 100, std::size_t{70} << 20, 4096};
    for (std::size_t size : sizes) {
        std::byte* start = arena.allocate(size);
        CHECK(reinterpret_cast<std::uintptr_t>(start) % 64 == 0);
        CHECK((start[0] == std::byte{0} && start[size - 1] == std::byte{0}));
        start[0] = start[size - 1] = std::byte{1};
        for (std::byte* other : given) CHECK((other[0] == std::byte{1} && other != start));
        given.push_back(start);
    }
    CHECK(arena.bytes_used() == 64 + 64 + 128 + (std::size_t{70} << 20) + 4096);
    CHECK_THROWS_AS(arena.allocate(std::numeric_limits<std::size_t>::max()), std::bad_alloc);
}
