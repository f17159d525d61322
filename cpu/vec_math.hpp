// Functions of whole vectors, over either vector type (vec_portable.hpp, vec_avx512.hpp), with equal bits.
#pragma once

namespace troupe {

// Absolute error below 2e-7; exact at the ends, since exp() is clamped.
template <class V>
V tanh(V x) {
    const V one = V::broadcast(1.0F);
    return one - V::broadcast(2.0F) / (exp(x + x) + one);
}

}  // namespace troupe
