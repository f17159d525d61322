#include "cpu/machine_peaks.hpp"

#include <atomic>
#include <chrono>
#include <cstring>

#include "cpu/cpu_features.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace troupe {
namespace {

constexpr std::size_t read_parts = 4, read_part = std::size_t{64} << 20;

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

#if defined(__x86_64__)
// 12 independent instructions, 2 * `repeats` times: as many as any CPU has in flight.
#define TROUPE_SPIN(name, target_set, type, registers, instruction)                                          \
    __attribute__((target(target_set))) void name(long repeats) {                                            \
        type sums[12] = {};                                                                                  \
        for (long i = 0; i < 2 * repeats; ++i) {                                                             \
            _Pragma("GCC unroll 12") for (type & sum : sums) asm volatile(instruction : "+" registers(sum)); \
        }                                                                                                    \
    }
TROUPE_SPIN(spin_int8_512, "avx512f,avx512vnni", __m512i, "v", "vpdpbusd %0, %0, %0")
TROUPE_SPIN(spin_bf16_512, "avx512f,avx512bf16", __m512, "v", "vdpbf16ps %0, %0, %0")
TROUPE_SPIN(spin_fp32_512, "avx512f", __m512, "v", "vfmadd231ps %0, %0, %0")
TROUPE_SPIN(spin_int8_256, "avx2,avxvnni", __m256i, "x", "%{vex%} vpdpbusd %0, %0, %0")
TROUPE_SPIN(spin_fp32_256, "avx2,fma", __m256, "x", "vfmadd231ps %0, %0, %0")
#undef TROUPE_SPIN
#endif

// One instruction's operations, and how to run 24 of it so many times.
struct Spin {
    void (*run)(long repeats) = nullptr;
    double operations = 0;
};

Spin spin_of(PeakKind kind) {
#if defined(__x86_64__)
    const bool avx512 = kernel_path_supported(KernelPath::avx512_vnni);
    if (kind == PeakKind::int8) {
        if (avx512) return {spin_int8_512, 128};
        if (kernel_path_supported(KernelPath::avx2_vnni)) return {spin_int8_256, 64};
    } else if (kind == PeakKind::bf16) {
        if (avx512 && __builtin_cpu_supports("avx512bf16")) return {spin_bf16_512, 64};
    } else {
        if (avx512) return {spin_fp32_512, 32};
        if (kernel_path_supported(KernelPath::avx2)) return {spin_fp32_256, 16};
    }
#endif
    static_cast<void>(kind);
    return {};
}

std::atomic<std::uint64_t> sink;  // so that reading is not left out

}  // namespace

double measure_peak(ComputePool& pool, PeakKind kind) {
    constexpr long repeats = 100000;
    const Spin spin = spin_of(kind);
    if (spin.run == nullptr) return 0;
    const auto start = Clock::now();
    pool.run(pool.num_threads(), [&](std::size_t, unsigned) { spin.run(repeats); });
    return spin.operations * 24 * repeats * pool.num_threads() / seconds_since(start);
}

ReadMeter::ReadMeter() : memory_(arena_.allocate(read_parts * read_part)) {
    std::memset(memory_, 1, read_parts * read_part);
}

double ReadMeter::measure(ComputePool& pool) {
    const std::byte* memory = memory_ + read_part * (next_++ % read_parts);
    const std::size_t part = read_part / pool.num_threads() / 256 * 256;
    const auto start = Clock::now();
    pool.run(pool.num_threads(), [&](std::size_t chunk, unsigned) {
        const auto* words = reinterpret_cast<const std::uint64_t*>(memory + chunk * part);
        std::uint64_t all[8] = {};
        // One touch of each cache line is enough: memory is the limit.
        for (std::size_t i = 0; i < part / 8; i += 8) all[i / 8 % 8] |= words[i];
        for (const std::uint64_t value : all) sink |= value;
    });
    return static_cast<double>(part * pool.num_threads()) / seconds_since(start);
}

}  // namespace troupe
