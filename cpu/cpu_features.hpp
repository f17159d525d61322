// Which instruction sets the kernels use. All paths give the same bits (law 3 of the design).
#pragma once
#include <cstdint>

namespace troupe {

enum class KernelPath : std::uint8_t {
    portable,     // C++ without intrinsics, compiled for the baseline
    avx2,         // AVX2, FMA and F16C
    avx2_vnni,    // AVX-VNNI besides: Intel's processors without AVX-512
    avx512_vnni,  // AVX-512 F, BW, DQ, VL and VNNI
};

inline constexpr KernelPath all_kernel_paths[] = {
    KernelPath::portable, KernelPath::avx2, KernelPath::avx2_vnni, KernelPath::avx512_vnni};  // the best last

const char* kernel_path_name(KernelPath path);
bool kernel_path_supported(KernelPath path);  // by this CPU and operating system
KernelPath best_kernel_path();

}  // namespace troupe
