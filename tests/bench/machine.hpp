// What the machine can do at best, for the benchmarks to be measured by.
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>

#include "cpu/compute_pool.hpp"
#include "cpu/cpu_features.hpp"
#include "cpu/weight_arena.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace troupe {

inline double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

#if defined(__x86_64__)
// `repeats` times 24 independent instructions, of 16 x 4 or 16 multiplications and as many additions.
__attribute__((target("avx512f,avx512vnni"))) inline void spin_vnni(long repeats) {
    __m512i sums[24] = {};
    for (long i = 0; i < repeats; ++i) {
#pragma GCC unroll 24
        for (__m512i& sum : sums) asm volatile("vpdpbusd %0, %0, %0" : "+v"(sum));
    }
}
__attribute__((target("avx512f"))) inline void spin_fma(long repeats) {
    __m512 sums[24] = {};
    for (long i = 0; i < repeats; ++i) {
#pragma GCC unroll 24
        for (__m512& sum : sums) asm volatile("vfmadd231ps %0, %0, %0" : "+v"(sum));
    }
}
#endif

// Operations per second of all threads, or 0 where it cannot be measured.
inline double measure_peak(ComputePool& pool, bool int8) {
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

inline std::atomic<std::uint64_t> sink;

// Bytes per second of all threads.
inline double measure_read(ComputePool& pool, const std::byte* memory, std::size_t bytes) {
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

// Memory to measure reading with, larger than caches.
class ReadMeter {
  public:
    ReadMeter() : memory_(arena_.allocate(kParts * kPart)) { std::memset(memory_, 1, kParts * kPart); }
    double measure(ComputePool& pool) {
        return measure_read(pool, memory_ + kPart * (next_++ % kParts), kPart);
    }

  private:
    static constexpr std::size_t kParts = 4, kPart = std::size_t{64} << 20;
    WeightArena arena_;
    std::byte* memory_;
    std::size_t next_ = 0;
};

}  // namespace troupe
