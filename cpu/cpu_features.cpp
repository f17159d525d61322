#include "cpu/cpu_features.hpp"

namespace troupe {

const char* kernel_path_name(KernelPath path) {
    switch (path) {
        case KernelPath::portable:
            return "portable";
        case KernelPath::avx512_vnni:
            return "avx512_vnni";
    }
    return "?";
}

bool kernel_path_supported(KernelPath path) {
    if (path == KernelPath::portable) return true;
#if defined(__x86_64__)
    // These also ask the operating system whether it saves the registers.
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni");
#else
    return false;
#endif
}

KernelPath best_kernel_path() {
    return kernel_path_supported(KernelPath::avx512_vnni) ? KernelPath::avx512_vnni : KernelPath::portable;
}

}  // namespace troupe
