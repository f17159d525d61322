// The kernels for AVX2 without VNNI. Compiled with flags of its own (kernels.cmake), called only where they
// run.
#if defined(__x86_64__)
#include "cpu/arch_avx2.hpp"
#include "cpu/gemm_kernel.hpp"

namespace troupe {

constinit const Kernels avx2_kernels = {.tiles = GemmKernel<Avx2>::tiles(),
                                        .quantize_row = portable_quantize_row};

}  // namespace troupe
#endif
