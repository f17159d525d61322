#include "cpu/kernels.hpp"

namespace troupe {

const Kernels& kernels_of(KernelPath path) {
#if defined(__x86_64__)
    switch (path) {
        case KernelPath::portable:
            break;
        case KernelPath::avx2:
            return avx2_kernels;
        case KernelPath::avx2_vnni:
            return avx2_vnni_kernels;
        case KernelPath::avx512_vnni:
            return avx512_vnni_kernels;
    }
#endif
    static_cast<void>(path);
    return portable_kernels;
}

}  // namespace troupe
