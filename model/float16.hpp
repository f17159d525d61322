// IEEE half precision and bfloat16 as stored bits, with conversions that give the same bits on every machine.
#pragma once
#include <bit>
#include <cstdint>

namespace troupe {

struct Half {
    std::uint16_t bits = 0;
};
struct BFloat16 {
    std::uint16_t bits = 0;
};

inline float to_float(BFloat16 value) { return std::bit_cast<float>(std::uint32_t{value.bits} << 16); }

// Exact. A signalling NaN becomes quiet, as the hardware's conversion makes it.
inline float to_float(Half value) {
    const std::uint32_t sign = std::uint32_t{value.bits & 0x8000U} << 16;
    const std::uint32_t exponent = (value.bits >> 10) & 31U;
    const std::uint32_t mantissa = value.bits & 0x3FFU;
    if (exponent == 31) {
        const std::uint32_t quiet = mantissa != 0 ? 0x400000U : 0U;
        return std::bit_cast<float>(sign | 0x7F800000U | quiet | (mantissa << 13));
    }
    if (exponent == 0) {  // zero and subnormals: mantissa * 2^-24, exact
        return std::bit_cast<float>(sign |
                                    std::bit_cast<std::uint32_t>(static_cast<float>(mantissa) * 0x1p-24F));
    }
    return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

// Rounds to nearest, ties to even.
inline Half to_half(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000U);
    const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
    std::uint32_t half = 0;
    if (magnitude > 0x7F800000U) {
        half = 0x7E00U | ((magnitude >> 13) & 0x3FFU);
    } else if (magnitude >= 0x47800000U) {  // 65536 and more, infinity
        half = 0x7C00U;
    } else if (magnitude >= 0x38800000U) {  // normal: round at bit 13; a carry into the exponent is right
        half = (magnitude - 0x38000000U + 0xFFFU + ((magnitude >> 13) & 1U)) >> 13;
    } else {  // subnormal: adding 0.5 leaves the rounded multiple of 2^-24 in the lowest bits
        half = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5F) - 0x3F000000U;
    }
    return {static_cast<std::uint16_t>(sign | half)};
}

// Rounds to nearest, ties to even.
inline BFloat16 to_bfloat16(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    if ((bits & 0x7FFFFFFFU) > 0x7F800000U) return {static_cast<std::uint16_t>((bits >> 16) | 0x40U)};
    return {static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16)};
}

}  // namespace troupe
