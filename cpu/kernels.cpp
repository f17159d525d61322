#include "cpu/kernels.hpp"

namespace troupe {

const Kernels& kernels_of(KernelPath path) {
#if defined(__x86_64__)
    if (path == KernelPath::avx512_vnni) return avx512_vnni_kernels;
#endif
    static_cast<void>(path);
    return portable_kernels;
}

}  // namespace troupe
