// Bytes of blocks, for the quantizers. Internal to them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "model/float16.hpp"

namespace troupe {

inline void store_half(std::byte* at, Half value) { std::memcpy(at, &value.bits, sizeof value.bits); }
inline bool is_finite(Half value) { return (value.bits & 0x7C00U) != 0x7C00U; }
constexpr Half not_a_number{0x7E00U};

// 1 / scale, or 0 where there is nothing to divide by.
inline float inverse_of(float scale) { return scale != 0.0F ? 1.0F / scale : 0.0F; }

// Codes 0 to 15: the first half of 32 in the low nibbles, the other in the high ones.
inline void store_nibbles(const float* codes, std::byte* out) {
    for (std::size_t i = 0; i < 16; ++i)
        out[i] = static_cast<std::byte>(static_cast<unsigned>(codes[i]) | static_cast<unsigned>(codes[i + 16])
                                                                              << 4);
}

}  // namespace troupe
