// Functions of whole vectors, over either vector type (vec_portable.hpp, vec_avx512.hpp), with equal bits.
#pragma once

namespace troupe {

// Relative error below 4e-7; 1 and -1 far out, and NaN stays NaN. Near zero Cephes' tanhf (Moshier), where
// the other form would cancel.
template <class V>
V tanh(V x) {
    constexpr float polynomial[] = {-5.70498872745e-3F, 2.06390887954e-2F, -5.37397155531e-2F,
                                    1.33314422036e-1F, -3.33332819422e-1F};
    const V one = V::broadcast(1.0F);
    const V square = x * x;
    V p = V::broadcast(polynomial[0]);
    for (int i = 1; i < 5; ++i) p = p * square + V::broadcast(polynomial[i]);
    const V near = p * square * x + x;
    const V far = one - V::broadcast(2.0F) / (exp(x + x) + one);
    return choose_below(x, 0.625F, near, far);
}

}  // namespace troupe
