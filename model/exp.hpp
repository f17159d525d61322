// The one exponential of the forward pass and the sampler. Only IEEE additions, multiplications and integer
// operations, none of them fused: the same bits on every machine, vectorized or not (cpu/vec_*.hpp repeat it
// lane by lane; a test compares). Argument reduction and polynomial as in Cephes' expf (Moshier), 2 ulp.
#pragma once
#include <bit>
#include <cstdint>

namespace troupe {
namespace exp_constants {

// Arguments are clamped to this range, so that the result is a normal number: exp(-inf) is 1.6e-38 here, and
// a caller that needs zero for masked values writes it itself.
inline constexpr float lowest = -87.0F;
inline constexpr float highest = 88.0F;
inline constexpr float log2_e = 1.44269504F;
inline constexpr float rounder = 12582912.0F;  // 1.5 * 2^23: adding it rounds to an integer in the low bits
inline constexpr float ln2_high = 0.693359375F;
inline constexpr float ln2_low = -2.12194440e-4F;
inline constexpr float polynomial[] = {1.9875691500e-4F, 1.3981999507e-3F, 8.3334519073e-3F,
                                       4.1665795894e-2F, 1.6666665459e-1F, 5.0000001201e-1F};

}  // namespace exp_constants

// e^x; NaN gives e^-87.
inline float exp_f32(float x) {
    using namespace exp_constants;
    x = x > lowest ? x : lowest;
    x = x < highest ? x : highest;
    const float shifted = x * log2_e + rounder;
    const float n = shifted - rounder;
    const float r = (x - n * ln2_high) - n * ln2_low;
    float p = polynomial[0];
    for (int i = 1; i < 6; ++i) p = p * r + polynomial[i];
    p = (p * (r * r) + r) + 1.0F;
    const std::uint32_t power = (std::bit_cast<std::uint32_t>(shifted) << 23) + 0x3F800000U;
    return p * std::bit_cast<float>(power);
}

}  // namespace troupe
