#if defined(__x86_64__)
#include "cpu/float_kernels_impl.hpp"
#include "cpu/vec_avx2.hpp"

namespace troupe {

const FloatKernels& avx2_float_kernels() { return FloatKernelsOf<VecAvx2>::table; }

}  // namespace troupe
#else
#include "cpu/float_kernels.hpp"

namespace troupe {

const FloatKernels& avx2_float_kernels() { return portable_float_kernels(); }  // never supported here

}  // namespace troupe
#endif
