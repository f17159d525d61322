#include "model/block_format.hpp"

#include <bit>
#include <cstring>

namespace troupe {
namespace {

static_assert(std::endian::native == std::endian::little, "codes are moved four at a time as one integer");

constexpr std::size_t groups_per_block = 8;  // of the K formats

template <class T>
T read(const std::byte* at) {  // files need not align their tensors
    T value;
    std::memcpy(&value, at, sizeof value);
    return value;
}

std::uint32_t word(const std::byte* bytes, std::size_t index) {
    return read<std::uint32_t>(bytes + 4 * index);
}

constexpr std::uint32_t each_byte(std::uint32_t value) { return value * 0x01010101U; }

// 16 bytes: low nibbles are the first 16 weights, high nibbles the others.
void read_nibbles(const std::byte* nibbles, WeightGroup& out) {
    for (std::size_t j = 0; j < 4; ++j) {
        const std::uint32_t eight = word(nibbles, j);
        out.codes[j] = eight & each_byte(15);
        out.codes[j + 4] = eight >> 4 & each_byte(15);
    }
}

void read_q8_0(const std::byte* row, std::size_t group, WeightGroup& out) {
    const std::byte* block = row + 34 * group;
    out.scale = read<std::uint16_t>(block);
    for (std::size_t j = 0; j < 8; ++j) out.codes[j] = word(block + 2, j) ^ each_byte(0x80);  // + 128
}

void read_q4_0(const std::byte* row, std::size_t group, WeightGroup& out) {  // iq4_nl too
    const std::byte* block = row + 18 * group;
    out.scale = read<std::uint16_t>(block);
    read_nibbles(block + 2, out);
}

void read_q4_1(const std::byte* row, std::size_t group, WeightGroup& out) {
    const std::byte* block = row + 20 * group;
    out.scale = read<std::uint16_t>(block);
    out.minimum = read<std::uint16_t>(block + 2);
    read_nibbles(block + 4, out);
}

// Bit k of `high` is the fifth bit of weight k.
void add_fifth_bits(std::uint32_t high, WeightGroup& out) {
    for (std::size_t j = 0; j < 8; ++j) {
        const std::uint32_t four = high >> (4 * j) & 15;
        out.codes[j] |= (four * 0x00204081U & each_byte(1)) << 4;  // bit i to byte i
    }
}

void read_q5_0(const std::byte* row, std::size_t group, WeightGroup& out) {
    const std::byte* block = row + 22 * group;
    out.scale = read<std::uint16_t>(block);
    read_nibbles(block + 6, out);
    add_fifth_bits(read<std::uint32_t>(block + 2), out);
}

void read_q5_1(const std::byte* row, std::size_t group, WeightGroup& out) {
    const std::byte* block = row + 24 * group;
    out.scale = read<std::uint16_t>(block);
    out.minimum = read<std::uint16_t>(block + 2);
    read_nibbles(block + 8, out);
    add_fifth_bits(read<std::uint32_t>(block + 4), out);
}

// 2^(e - 127), halved because the values are doubled; 255 is NaN.
std::uint16_t half_of_e8m0(std::uint32_t e) {
    if (e == 255) return 0x7FC0;
    return static_cast<std::uint16_t>(e >= 2 ? (e - 1) << 7 : 0x20U << e);
}

void read_mxfp4(const std::byte* row, std::size_t group, WeightGroup& out) {
    const std::byte* block = row + 17 * group;
    out.scale = half_of_e8m0(std::to_integer<std::uint32_t>(block[0]));
    read_nibbles(block + 1, out);
}

// The 6-bit scales and minimums of Q4_K and Q5_K.
void read_six_bits(const std::byte* packed, std::size_t group, WeightGroup& out) {
    const auto at = [&](std::size_t i) { return std::to_integer<unsigned>(packed[i]); };
    unsigned scale = at(group) & 63;
    unsigned minimum = at(group + 4) & 63;
    if (group >= 4) {
        scale = (at(group + 4) & 15) | at(group - 4) >> 6 << 4;
        minimum = at(group + 4) >> 4 | at(group) >> 6 << 4;
    }
    out.scale_factors[0] = out.scale_factors[1] = static_cast<std::int8_t>(scale);
    out.minimum_factors[0] = out.minimum_factors[1] = static_cast<std::uint8_t>(minimum);
}

// half d, half dmin, 12 bytes of scales, (32 bytes of fifth bits,) 128 bytes of nibbles.
template <bool FiveBits>
void read_q4_q5_k(const std::byte* row, std::size_t index, WeightGroup& out) {
    const std::byte* block = row + (FiveBits ? 176 : 144) * (index / groups_per_block);
    const std::size_t group = index % groups_per_block;
    out.scale = read<std::uint16_t>(block);
    out.minimum = read<std::uint16_t>(block + 2);
    read_six_bits(block + 4, group, out);
    const std::byte* nibbles = block + (FiveBits ? 48 : 16) + 32 * (group / 2);
    for (std::size_t j = 0; j < 8; ++j) {
        out.codes[j] = word(nibbles, j) >> 4 * (group % 2) & each_byte(15);
        if constexpr (FiveBits) out.codes[j] |= (word(block + 16, j) >> group & each_byte(1)) << 4;
    }
}

// 128 bytes of nibbles, 64 of upper pairs of bits, 16 int8 scales, half d.
void read_q6_k(const std::byte* row, std::size_t index, WeightGroup& out) {
    const std::byte* block = row + 210 * (index / groups_per_block);
    const std::size_t group = index % groups_per_block;
    const std::size_t quarter = group % 4;
    out.scale = read<std::uint16_t>(block + 208);
    std::memcpy(out.scale_factors, block + 192 + 2 * group, 2);
    const std::byte* nibbles = block + 64 * (group / 4) + 32 * (quarter % 2);
    const std::byte* pairs = block + 128 + 32 * (group / 4);
    for (std::size_t j = 0; j < 8; ++j) {
        out.codes[j] = (word(nibbles, j) >> 4 * (quarter / 2) & each_byte(15)) |
                       (word(pairs, j) >> 2 * quarter & each_byte(3)) << 4;
    }
}

// 32 bytes of third bits, 64 of pairs of bits, 12 of 6-bit scales (less 32), half d.
void read_q3_k(const std::byte* row, std::size_t index, WeightGroup& out) {
    const std::byte* block = row + 110 * (index / groups_per_block);
    const std::size_t group = index % groups_per_block;
    out.scale = read<std::uint16_t>(block + 108);
    for (std::size_t half = 0; half < 2; ++half) {
        const std::size_t i = 2 * group + half;
        const auto at = [&](std::size_t byte) { return std::to_integer<int>(block[96 + byte]); };
        const int low = at(i % 8) >> (i < 8 ? 0 : 4) & 15;
        const int high = at(8 + i % 4) >> (2 * (i / 4)) & 3;
        out.scale_factors[half] = static_cast<std::int8_t>((low | high << 4) - 32);
    }
    const std::byte* pairs = block + 32 + 32 * (group / 4);
    for (std::size_t j = 0; j < 8; ++j) {
        out.codes[j] = (word(pairs, j) >> 2 * (group % 4) & each_byte(3)) |
                       (word(block, j) >> group & each_byte(1)) << 2;
    }
}

// 16 bytes of a 4-bit scale and a 4-bit minimum, 64 of pairs of bits, half d, half dmin.
void read_q2_k(const std::byte* row, std::size_t index, WeightGroup& out) {
    const std::byte* block = row + 84 * (index / groups_per_block);
    const std::size_t group = index % groups_per_block;
    out.scale = read<std::uint16_t>(block + 80);
    out.minimum = read<std::uint16_t>(block + 82);
    for (std::size_t half = 0; half < 2; ++half) {
        const auto both = std::to_integer<unsigned>(block[2 * group + half]);
        out.scale_factors[half] = static_cast<std::int8_t>(both & 15);
        out.minimum_factors[half] = static_cast<std::uint8_t>(both >> 4);
    }
    const std::byte* pairs = block + 16 + 32 * (group / 4);
    for (std::size_t j = 0; j < 8; ++j) out.codes[j] = word(pairs, j) >> 2 * (group % 4) & each_byte(3);
}

using Minimum = BlockFormat::Minimum;
constexpr BlockFormat q8_0{32, 34, 128, nullptr, Minimum::none, false, false, read_q8_0};
constexpr BlockFormat q4_0{32, 18, 8, nullptr, Minimum::none, false, false, read_q4_0};
constexpr BlockFormat q4_1{32, 20, 0, nullptr, Minimum::added, false, false, read_q4_1};
constexpr BlockFormat q5_0{32, 22, 16, nullptr, Minimum::none, false, false, read_q5_0};
constexpr BlockFormat q5_1{32, 24, 0, nullptr, Minimum::added, false, false, read_q5_1};
constexpr BlockFormat q2_k{256, 84, 0, nullptr, Minimum::subtracted, true, false, read_q2_k};
constexpr BlockFormat q3_k{256, 110, 4, nullptr, Minimum::none, true, false, read_q3_k};
constexpr BlockFormat q4_k{256, 144, 0, nullptr, Minimum::subtracted, true, false, read_q4_q5_k<false>};
constexpr BlockFormat q5_k{256, 176, 0, nullptr, Minimum::subtracted, true, false, read_q4_q5_k<true>};
constexpr BlockFormat q6_k{256, 210, 32, nullptr, Minimum::none, true, false, read_q6_k};
constexpr BlockFormat iq4_nl{32, 18, 0, iq4_nl_values, Minimum::none, false, false, read_q4_0};
constexpr BlockFormat mxfp4{32, 17, 0, mxfp4_values, Minimum::none, false, true, read_mxfp4};

}  // namespace

const BlockFormat* block_format(DType dtype) {
    switch (dtype) {
        case DType::f32:
        case DType::f16:
        case DType::bf16:
            return nullptr;
        case DType::q8_0:
            return &q8_0;
        case DType::q4_0:
            return &q4_0;
        case DType::q4_1:
            return &q4_1;
        case DType::q5_0:
            return &q5_0;
        case DType::q5_1:
            return &q5_1;
        case DType::q2_k:
            return &q2_k;
        case DType::q3_k:
            return &q3_k;
        case DType::q4_k:
            return &q4_k;
        case DType::q5_k:
            return &q5_k;
        case DType::q6_k:
            return &q6_k;
        case DType::iq4_nl:
            return &iq4_nl;
        case DType::mxfp4:
            return &mxfp4;
    }
    return nullptr;
}

}  // namespace troupe
