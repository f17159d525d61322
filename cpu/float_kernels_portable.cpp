#include "cpu/float_kernels_impl.hpp"
#include "cpu/vec_portable.hpp"

namespace troupe {

const FloatKernels& portable_float_kernels() { return FloatKernelsOf<VecPortable>::table; }

const FloatKernels& float_kernels(KernelPath path) {
    switch (path) {
        case KernelPath::portable:
            break;
        case KernelPath::avx2:
        case KernelPath::avx2_vnni:
            return avx2_float_kernels();
        case KernelPath::avx512_vnni:
            return avx512_float_kernels();
    }
    return portable_float_kernels();
}

}  // namespace troupe
