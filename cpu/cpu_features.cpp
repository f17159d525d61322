#include "cpu/cpu_features.hpp"

namespace troupe {

const char* kernel_path_name(KernelPath path) {
    switch (path) {
        case KernelPath::portable:
            return "portable";
        case KernelPath::avx2:
            return "avx2";
        case KernelPath::avx2_vnni:
            return "avx2_vnni";
        case KernelPath::avx512_vnni:
            return "avx512_vnni";
    }
    return "?";
}

bool kernel_path_supported(KernelPath path) {
    if (path == KernelPath::portable) return true;
#if defined(__x86_64__)
    // These also ask the operating system whether it saves the registers.
    const bool avx2 =
        __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    if (path == KernelPath::avx2) return avx2;
    if (path == KernelPath::avx2_vnni) return avx2 && __builtin_cpu_supports("avxvnni");
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni");
#else
    return false;
#endif
}

KernelPath best_kernel_path() {
    KernelPath best = KernelPath::portable;
    for (const KernelPath path : all_kernel_paths)
        if (kernel_path_supported(path)) best = path;
    return best;
}

}  // namespace troupe
