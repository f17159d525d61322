// How packed weights lie in memory. A panel is 32 output rows; it is a sequence of steps along k, each whole
// cache lines, written in the order in which a product reads it. A "pair" is two 64-byte vectors, of rows
// 0-15 and of rows 16-31, four bytes a row.
//
//   f32    1 k: 32 floats                                                                           128 bytes
//   f16    1 k: 32 halves                                                                            64
//   bf16   2 k: 1 pair: row r, k in the low and k + 1 in the high half (0 past an odd end)          128
//
// Quantized weights come in blocks of 32 k. A block holds scales, then the upper bits of its codes, then
// their lower bits. Four consecutive codes of a row make a number (8 of them in a block); b bits of each
// number take a b-th of a pair's bytes: number j is bits b * (j % (8 / b)) and up of pair j / (8 / b).
//
//   q8_0           32 half scales | 8 bits                                           1088 per 32 k
//   q4_0, iq4_nl   32 half scales | 4 bits                                            576
//   mxfp4          32 bfloat16 scales | 4 bits                                        576
//   q4_1           32 half scales | 32 half minimums | 4 bits                         640
//   q5_0           32 half scales | 1 bit | 4 bits                                    704
//   q5_1           32 half scales | 32 half minimums | 1 bit | 4 bits                 768
//
// In the K formats a step is 256 k: a header of 32 half scales (and 32 half minimums), then 8 blocks, which
// begin with 64 bytes of integer factors.
//
//   q4_k   header 128, block: 32 u8 scales | 32 u8 minimums | 4 bits                 4736 per 256 k
//   q5_k   header 128, block: 32 u8 scales | 32 u8 minimums | 1 bit | 4 bits         5760
//   q6_k   header 64, block: 2 x 32 s8 scales, of 16 k each | 2 bits | 4 bits        6720
//   q3_k   header 64, block: 2 x 32 s8 scales, of 16 k each | 1 bit | 2 bits         3648
//   q2_k   header 128, block: 2 x 32 u8, scale in the low, minimum in the high nibble | 2 bits   2688
//
// Codes are unsigned because vpdpbusd wants one unsigned operand; the kernels undo the offset exactly, in
// integers.
#pragma once
#include <cstddef>
#include <cstdint>

#include "model/block_format.hpp"

namespace troupe {

enum class PanelFormat : std::uint8_t {
    q8_0,
    q4_0,
    q4_1,
    q5_0,
    q5_1,
    q2_k,
    q3_k,
    q4_k,
    q5_k,
    q6_k,
    iq4_nl,
    mxfp4,
    f32,
    f16,
    bf16
};
constexpr std::size_t kNumPanelFormats = 15;
constexpr std::size_t kPanelRows = 32;
constexpr std::size_t kBlockColumns = 32;    // k of a block of the quantized formats
constexpr std::size_t kBlocksPerHeader = 8;  // in the K formats

constexpr bool is_quantized(PanelFormat format) { return format < PanelFormat::f32; }
constexpr bool has_header(PanelFormat format) {
    return format >= PanelFormat::q2_k && format <= PanelFormat::q6_k;
}
constexpr bool has_minimums(PanelFormat format) {
    return format == PanelFormat::q4_1 || format == PanelFormat::q5_1 || format == PanelFormat::q2_k ||
           format == PanelFormat::q4_k || format == PanelFormat::q5_k;
}
// How many runs of k in a block have a scale of their own: 1, or 2 of 16 k.
constexpr int scales_per_block(PanelFormat format) {
    return format == PanelFormat::q2_k || format == PanelFormat::q3_k || format == PanelFormat::q6_k ? 2 : 1;
}

constexpr int low_bits(PanelFormat format) {
    switch (format) {
        case PanelFormat::q8_0:
            return 8;
        case PanelFormat::q2_k:
        case PanelFormat::q3_k:
            return 2;
        default:
            return 4;
    }
}
constexpr int high_bits(PanelFormat format) {
    switch (format) {
        case PanelFormat::q5_0:
        case PanelFormat::q5_1:
        case PanelFormat::q5_k:
        case PanelFormat::q3_k:
            return 1;
        case PanelFormat::q6_k:
            return 2;
        default:
            return 0;
    }
}

// log2 of what an unsigned weight is too large by; 0: by nothing.
constexpr int offset_bits(PanelFormat format) {
    switch (format) {
        case PanelFormat::q8_0:
        case PanelFormat::iq4_nl:
            return 7;
        case PanelFormat::q6_k:
            return 5;
        case PanelFormat::q5_0:
        case PanelFormat::mxfp4:
            return 4;
        case PanelFormat::q4_0:
            return 3;
        case PanelFormat::q3_k:
            return 2;
        default:
            return 0;
    }
}

// Codes of these stand for the entries of a table, which are made unsigned by the offset.
constexpr bool has_table(PanelFormat format) {
    return format == PanelFormat::iq4_nl || format == PanelFormat::mxfp4;
}
struct CodeTable {
    std::uint8_t entries[16];
};
constexpr CodeTable unsigned_table(PanelFormat format) {
    CodeTable table{};
    for (std::size_t i = 0; i < 16; ++i) {
        const int value = format == PanelFormat::mxfp4 ? mxfp4_values[i] : iq4_nl_values[i];
        table.entries[i] = static_cast<std::uint8_t>(value + (1 << offset_bits(format)));
    }
    return table;
}

// Bytes of a block before its codes, and of what precedes each 8 blocks.
constexpr std::size_t scale_bytes(PanelFormat format) {
    return has_minimums(format) && !has_header(format) ? 128 : 64;
}
constexpr std::size_t header_bytes(PanelFormat format) {
    return !has_header(format) ? 0 : has_minimums(format) ? 128 : 64;
}
constexpr std::size_t block_bytes(PanelFormat format) {
    return scale_bytes(format) + 128 * static_cast<std::size_t>(low_bits(format) + high_bits(format));
}

struct PanelStep {
    std::size_t columns;  // k per step
    std::size_t bytes;
};

constexpr PanelStep panel_step(PanelFormat format) {
    switch (format) {
        case PanelFormat::f32:
            return {1, 128};
        case PanelFormat::f16:
            return {1, 64};
        case PanelFormat::bf16:
            return {2, 128};
        default:
            break;
    }
    if (has_header(format)) {
        return {kBlocksPerHeader * kBlockColumns,
                header_bytes(format) + kBlocksPerHeader * block_bytes(format)};
    }
    return {kBlockColumns, block_bytes(format)};
}

constexpr std::size_t panel_bytes(PanelFormat format, std::size_t columns) {
    const PanelStep step = panel_step(format);
    return (columns + step.columns - 1) / step.columns * step.bytes;
}

}  // namespace troupe
