// The kernels for AVX2 with AVX-VNNI, as Intel's processors without AVX-512 have it. Compiled with flags of
// its own (kernels.cmake), called only where they run.
#if defined(__x86_64__)
#include "cpu/arch_avx2.hpp"
#include "cpu/gemm_kernel.hpp"

namespace troupe {
namespace {

struct AvxVnni : Avx2 {
    template <bool Wide>
    static Ints add_dot(Ints sums, Ints weights, Ints activations) {
        return _mm256_dpbusd_avx_epi32(sums, weights, activations);
    }
};

}  // namespace

constinit const Kernels avx2_vnni_kernels = {.tiles = GemmKernel<AvxVnni>::tiles(),
                                             .quantize_row = portable_quantize_row};

}  // namespace troupe
#endif
