#include "model/quantize/quantize.hpp"

#include <cmath>
#include <cstring>

#include "model/float16.hpp"

namespace troupe {
namespace {

template <class Narrow, class Convert>
bool narrow_row(const float* x, std::size_t columns, std::byte* out, Convert convert) {
    bool finite = true;
    for (std::size_t i = 0; i < columns; ++i) {
        const Narrow value = convert(x[i]);
        finite = finite && std::isfinite(to_float(value));
        std::memcpy(out + i * sizeof(Narrow), &value, sizeof(Narrow));
    }
    return finite;
}

bool copy_row(const float* x, std::size_t columns, std::byte* out) {
    std::memcpy(out, x, columns * sizeof(float));
    bool finite = true;
    for (std::size_t i = 0; i < columns; ++i) finite = finite && std::isfinite(x[i]);
    return finite;
}

}  // namespace

bool can_quantize_to(DType type) {
    switch (type) {
        case DType::f32:
        case DType::f16:
        case DType::bf16:
        case DType::q8_0:
        case DType::q4_0:
        case DType::q4_1:
        case DType::q4_k:
            return true;
        default:
            return false;
    }
}

bool quantize_row(DType type, const float* x, std::size_t columns, std::byte* out) {
    switch (type) {
        case DType::f32:
            return copy_row(x, columns, out);
        case DType::f16:
            return narrow_row<Half>(x, columns, out, to_half);
        case DType::bf16:
            return narrow_row<BFloat16>(x, columns, out, to_bfloat16);
        case DType::q8_0:
            return quantize_q8_0(x, columns, out);
        case DType::q4_0:
            return quantize_q4_0(x, columns, out);
        case DType::q4_1:
            return quantize_q4_1(x, columns, out);
        case DType::q4_k:
            return quantize_q4_k(x, columns, out);
        default:
            return false;
    }
}

}  // namespace troupe
