#include "cpu/float_kernels_impl.hpp"
#include "cpu/vec_portable.hpp"

namespace troupe {

const FloatKernels& portable_float_kernels() { return FloatKernelsOf<VecPortable>::table; }

const FloatKernels& float_kernels(KernelPath path) {
    return path == KernelPath::portable ? portable_float_kernels() : avx512_float_kernels();
}

}  // namespace troupe
