// How packed weights lie in memory. A panel is 32 output rows; it is a sequence of steps along k, each whole
// cache lines, written in the order in which a product reads it. A "pair" is two 64-byte vectors, of rows
// 0-15 and of rows 16-31.
//
//   q8_0  32 k: 32 half scales d | 8 pairs: pair j, row r, bytes k = 4j .. 4j+3, as q + 128          1088
//   bytes q4_0  32 k: 32 half scales d | 4 pairs: pair j, row r, low nibbles k = 8j .. 8j+3, high
//         nibbles k = 8j+4 .. 8j+7                                                                  576
//   q4_1  32 k: 32 half scales d | 32 half minimums m | as q4_0                                     640
//   f32   1 k: 32 floats                                                                            128
//   f16   1 k: 32 halves                                                                            64
//   bf16  2 k: 1 pair: row r, k in the low and k + 1 in the high half (0 past an odd end)           128
//
// Weights are unsigned because vpdpbusd wants one unsigned operand; the kernels undo the offset exactly, in
// integers.
#pragma once
#include <cstddef>
#include <cstdint>

namespace troupe {

enum class PanelFormat : std::uint8_t { q8_0, q4_0, q4_1, f32, f16, bf16 };
constexpr std::size_t kNumPanelFormats = 6;
constexpr std::size_t kPanelRows = 32;
constexpr std::size_t kBlockColumns = 32;  // k that share a scale in the quantized formats

struct PanelStep {
    std::size_t columns;  // k per step
    std::size_t bytes;
};

constexpr PanelStep panel_step(PanelFormat format) {
    switch (format) {
        case PanelFormat::q8_0:
            return {32, 1088};
        case PanelFormat::q4_0:
            return {32, 576};
        case PanelFormat::q4_1:
            return {32, 640};
        case PanelFormat::f32:
            return {1, 128};
        case PanelFormat::f16:
            return {1, 64};
        case PanelFormat::bf16:
            return {2, 128};
    }
    return {};
}

constexpr std::size_t panel_bytes(PanelFormat format, std::size_t columns) {
    const PanelStep step = panel_step(format);
    return (columns + step.columns - 1) / step.columns * step.bytes;
}

constexpr bool is_quantized(PanelFormat format) { return format <= PanelFormat::q4_1; }
constexpr bool has_minimums(PanelFormat format) { return format == PanelFormat::q4_1; }

// log2 of what is added to a stored weight to make it unsigned: 128, 8 or (q4_1 is unsigned by itself)
// nothing.
constexpr int offset_bits(PanelFormat format) {
    return format == PanelFormat::q8_0 ? 7 : format == PanelFormat::q4_0 ? 3 : 0;
}

// Bytes of a step before the quantized weights.
constexpr std::size_t scale_bytes(PanelFormat format) { return has_minimums(format) ? 128 : 64; }

}  // namespace troupe
