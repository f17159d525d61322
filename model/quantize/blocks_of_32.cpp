// Q8_0, Q4_0 and Q4_1. Codes are rounded with the scale as it is stored, so that what half precision takes
// from the scale is not lost twice.
#include <cmath>

#include "model/quantize/blocks.hpp"
#include "model/quantize/fit.hpp"
#include "model/quantize/quantize.hpp"

namespace troupe {
namespace {

constexpr std::size_t block = 32;

template <std::size_t Bytes, class Quantize>
bool for_blocks(const float* x, std::size_t columns, std::byte* out, Quantize quantize) {
    bool good = true;
    for (std::size_t b = 0; b < columns / block; ++b, x += block, out += Bytes) {
        if (quantize(x, out)) continue;
        good = false;
        std::memset(out, 0, Bytes);
        store_half(out, not_a_number);
    }
    return good;
}

}  // namespace

bool quantize_q8_0(const float* x, std::size_t columns, std::byte* out) {
    return for_blocks<34>(x, columns, out, [](const float* values, std::byte* to) {
        float most = 0.0F;
        for (std::size_t i = 0; i < block; ++i) {
            if (!std::isfinite(values[i])) return false;
            most = std::fabs(values[i]) > most ? std::fabs(values[i]) : most;
        }
        const Half scale = to_half(most / 127.0F);
        if (!is_finite(scale)) return false;
        store_half(to, scale);
        const float inverse = inverse_of(to_float(scale));
        for (std::size_t i = 0; i < block; ++i)
            to[2 + i] = static_cast<std::byte>(
                static_cast<std::int8_t>(nearest(clamped(values[i] * inverse, -127.0F, 127.0F))));
        return true;
    });
}

bool quantize_q4_0(const float* x, std::size_t columns, std::byte* out) {
    return for_blocks<18>(x, columns, out, [](const float* values, std::byte* to) {
        float weights[block];
        if (!fit_weights(values, weights)) return false;
        const Half scale = to_half(fit_signed(values, weights));
        if (!is_finite(scale)) return false;
        store_half(to, scale);
        const float inverse = inverse_of(to_float(scale));
        float codes[block];
        for (std::size_t i = 0; i < block; ++i)
            codes[i] = nearest(clamped(values[i] * inverse + 8.0F, 0.0F, 15.0F));
        store_nibbles(codes, to + 2);
        return true;
    });
}

bool quantize_q4_1(const float* x, std::size_t columns, std::byte* out) {
    return for_blocks<20>(x, columns, out, [](const float* values, std::byte* to) {
        float weights[block];
        if (!fit_weights(values, weights)) return false;
        const Fit fit = fit_with_minimum(values, weights, false);
        const Half scale = to_half(fit.scale);
        const Half minimum = to_half(fit.minimum);
        if (!is_finite(scale) || !is_finite(minimum)) return false;
        store_half(to, scale);
        store_half(to + 2, minimum);
        const float inverse = inverse_of(to_float(scale));
        float codes[block];
        for (std::size_t i = 0; i < block; ++i)
            codes[i] = nearest(clamped((values[i] - to_float(minimum)) * inverse, 0.0F, 15.0F));
        store_nibbles(codes, to + 4);
        return true;
    });
}

}  // namespace troupe
