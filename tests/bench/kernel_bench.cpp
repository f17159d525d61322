// Matrix products beside what the machine can do: weights always come from memory, as in a model.
//     kernel_bench [threads] [formats, e.g. Q4_1,Q8_0] [model: smollm2 or 1b]
// One row: GB/s of weights and its share of the measured read bandwidth. More: GOP/s and its share of the
// measured peak of the instruction that does the work (vpdpbusd for int8 activations, fma for float32 ones).
// Each cell is the best of short trials, each beside its own measurement of the peak, because machines are
// shared.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "cpu/packed_matrix.hpp"
#include "tests/cpu/random_tensor.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

using namespace troupe;

namespace {

double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

#if defined(__x86_64__)
// `repeats` times 24 independent instructions, of 16 x 4 or 16 multiplications and as many additions.
__attribute__((target("avx512f,avx512vnni"))) void spin_vnni(long repeats) {
    __m512i sums[24] = {};
    for (long i = 0; i < repeats; ++i) {
#pragma GCC unroll 24
        for (__m512i& sum : sums) asm volatile("vpdpbusd %0, %0, %0" : "+v"(sum));
    }
}
__attribute__((target("avx512f"))) void spin_fma(long repeats) {
    __m512 sums[24] = {};
    for (long i = 0; i < repeats; ++i) {
#pragma GCC unroll 24
        for (__m512& sum : sums) asm volatile("vfmadd231ps %0, %0, %0" : "+v"(sum));
    }
}
#endif

// Operations per second of all threads, or 0 where it cannot be measured.
double measure_peak(ComputePool& pool, bool int8) {
#if defined(__x86_64__)
    if (!kernel_path_supported(KernelPath::avx512_vnni)) return 0;
    constexpr long repeats = 100000;
    const double start = now();
    pool.run(pool.num_threads(),
             [&](std::size_t, unsigned) { int8 ? spin_vnni(repeats) : spin_fma(repeats); });
    return (int8 ? 128.0 : 32.0) * 24 * repeats * pool.num_threads() / (now() - start);
#else
    static_cast<void>(pool), static_cast<void>(int8);
    return 0;
#endif
}

std::atomic<std::uint64_t> sink;

// Bytes per second of all threads.
double measure_read(ComputePool& pool, const std::byte* memory, std::size_t bytes) {
    const std::size_t part = bytes / pool.num_threads() / 256 * 256;
    const double start = now();
    pool.run(pool.num_threads(), [&](std::size_t chunk, unsigned) {
        const auto* words = reinterpret_cast<const std::uint64_t*>(memory + chunk * part);
        std::uint64_t all[8] = {};
        for (std::size_t i = 0; i < part / 8;
             i += 8) {  // one touch of each cache line is enough: memory is the limit
            all[i / 8 % 8] |= words[i];
        }
        for (std::uint64_t value : all) sink |= value;
    });
    return static_cast<double>(part * pool.num_threads()) / (now() - start);
}

// The products of one phase of a layer: matrices that share their input.
struct Phase {
    const char* name;
    std::uint32_t columns;
    std::vector<std::uint32_t> rows;
};

const std::vector<Phase> smollm2 = {{"135m qkv", 576, {576, 192, 192}},
                                    {"135m o", 576, {576}},
                                    {"135m gate,up", 576, {1536, 1536}},
                                    {"135m down", 1536, {576}},
                                    {"135m head", 576, {49152}}};
const std::vector<Phase> one_b = {{"1b qkv", 2048, {2048, 512, 512}},
                                  {"1b o", 2048, {2048}},
                                  {"1b gate,up", 2048, {8192, 8192}},
                                  {"1b down", 8192, {2048}}};

// Enough copies of a phase's matrices that each use finds them in memory, not in a cache.
class Copies {
  public:
    Copies(ComputePool& pool, DType dtype, const Phase& phase) {
        std::size_t bytes = 0;
        for (std::uint32_t rows : phase.rows) bytes += rows * row_bytes(dtype, phase.columns);
        const std::size_t copies = std::max<std::size_t>(1, (std::size_t{200} << 20) / bytes);
        for (std::uint32_t rows : phase.rows) {
            const RandomTensor one(dtype, rows, phase.columns, rows);
            for (std::size_t i = 0; i < copies; ++i) {
                if (sets_.size() <= i) sets_.emplace_back();
                sets_[i].push_back(PackedMatrix::pack(pool, one.tensor, Arithmetic::native, arena_));
            }
        }
    }
    const std::vector<PackedMatrix>& next() { return sets_[next_++ % sets_.size()]; }

  private:
    WeightArena arena_;
    std::vector<std::vector<PackedMatrix>> sets_;
    std::size_t next_ = 0;
};

void run_cell(ComputePool& pool, Copies& copies, const Phase& phase, std::size_t count,
              const std::byte* memory) {
    const auto x = random_rows(count * phase.columns, 3);
    Activations activations;
    activations.bind(x.data(), count, phase.columns, phase.columns);
    const bool int8 = copies.next().front().wants_int8();
    if (int8) activations.quantize(pool);
    std::size_t all_rows = 0;
    double bytes = 0;
    for (const PackedMatrix& matrix : copies.next()) {
        all_rows += matrix.rows();
        bytes += static_cast<double>(matrix.bytes());
    }
    const std::size_t out_stride = all_rows % 1024 == 0 ? all_rows + 16 : all_rows;
    std::vector<float> out(count * out_stride);
    std::vector<Product> products(phase.rows.size());
    const auto once = [&] {
        const std::vector<PackedMatrix>& matrices = copies.next();
        std::size_t first = 0;
        for (std::size_t i = 0; i < matrices.size(); ++i) {
            products[i] = {&matrices[i], out.data() + first, out_stride};
            first += matrices[i].rows();
        }
        multiply(pool, products, activations);
    };
    const double operations = 2.0 * static_cast<double>(count * all_rows) * phase.columns;
    const double guess = operations / 5e11 + bytes / 3e10;  // seconds
    const int repeats = std::max(1, static_cast<int>(3e-3 / guess)), trials = guess > 0.05 ? 4 : 20;
    double best = 1e9, peak = 0;
    const ComputePool::Turn turn = pool.acquire();
    for (int trial = 0; trial < trials; ++trial) {
        peak = std::max(
            peak, count == 1 ? measure_read(pool, memory + (std::size_t{64} << 20) * (trial % 4), 64 << 20)
                             : measure_peak(pool, int8));
        const double start = now();
        for (int i = 0; i < repeats; ++i) once();
        best = std::min(best, (now() - start) / repeats);
    }
    const double rate = (count == 1 ? bytes : operations) / best;
    std::printf("  %7.1f (%3.0f%%)", rate * 1e-9, peak > 0 ? 100 * rate / peak : 0.0);
    std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
    ComputePool pool(argc > 1 ? static_cast<unsigned>(std::atoi(argv[1])) : 0);
    const std::string formats = argc > 2 ? argv[2] : "Q8_0,Q4_0,Q4_1,BF16,F16,F32";
    const std::vector<Phase>& phases = argc > 3 && std::string(argv[3]) == "1b" ? one_b : smollm2;
    WeightArena arena;
    std::byte* memory = arena.allocate(std::size_t{256} << 20);
    std::memset(memory, 1, std::size_t{256} << 20);
    for (DType dtype : {DType::q8_0, DType::q4_0, DType::q4_1, DType::bf16, DType::f16, DType::f32}) {
        if (("," + formats + ",").find(std::string(",") + dtype_name(dtype) + ",") == std::string::npos)
            continue;
        std::printf("\n%s, %u threads, %s\n%-14s%16s", dtype_name(dtype), pool.num_threads(),
                    kernel_path_name(best_kernel_path()), "", "M = 1, GB/s");
        const std::size_t counts[] = {8, 32, 128, 512};
        for (std::size_t count : counts) std::printf("%9s%3zu, GOP/s", "M = ", count);
        std::printf("\n");
        for (const Phase& phase : phases) {
            Copies copies(pool, dtype, phase);
            std::printf("%-14s", phase.name);
            run_cell(pool, copies, phase, 1, memory);
            for (std::size_t count : counts) {
                if (count <= 32 || phase.rows.front() < 49152) run_cell(pool, copies, phase, count, memory);
            }
            std::printf("\n");
        }
    }
}
