// What this machine can do at best, for measurements to be compared with. Shared machines change from second
// to second: measure these right beside what is compared.
#pragma once
#include <cstddef>
#include <cstdint>

#include "cpu/compute_pool.hpp"
#include "cpu/weight_arena.hpp"

namespace troupe {

enum class PeakKind : std::uint8_t {
    int8,  // vpdpbusd: 8-bit products summed in 32 bits
    bf16,  // vdpbf16ps
    fp32,  // fused multiply-add
};

// Operations per second of all threads, multiplications and additions counted each, from registers. 0: this
// CPU has no instruction for it that is known here.
double measure_peak(ComputePool& pool, PeakKind kind);

// Bytes per second of all threads, from memory that is larger than caches.
class ReadMeter {
  public:
    ReadMeter();
    double measure(ComputePool& pool);

  private:
    WeightArena arena_;
    std::byte* memory_;
    std::size_t next_ = 0;
};

}  // namespace troupe
