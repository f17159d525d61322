// The products of a panel and some rows of activations, written once over what an instruction set can do (the
// class A, whose functions are one or a few instructions). Included by the files that instantiate it, with an
// A of their own in an unnamed namespace: nothing of it is then shared with files compiled otherwise.
//
// A tile works through K with two vectors of output rows: the whole panel at once if a vector holds 16 rows,
// one half of it after the other if it holds 8. Each output is one chain in ascending k, on every instruction
// set the same.
#pragma once
#include <cstring>

#include "cpu/kernels.hpp"

namespace troupe {

template <class A>
struct GemmKernel {
    using Ints = typename A::Ints;
    using Floats = typename A::Floats;
    static constexpr int passes = 16 / A::lanes;

    // First of the panel's rows in vector `v` of the pass.
    static constexpr std::size_t row_of(int pass, int v) {
        return static_cast<std::size_t>((2 * pass + v) * A::lanes);
    }

    template <int Rows>
    static void store(const Tile& tile, int pass, const Floats (&sums)[2][Rows]) {
        for (int v = 0; v < 2; ++v) {
            const std::size_t first = row_of(pass, v);
            if (first >= tile.out_columns) return;
            const std::size_t count = tile.out_columns - first;
            for (int m = 0; m < Rows; ++m) {
                float* to = tile.out + m * tile.out_stride + first;
                if (count >= A::lanes) {
                    A::store(to, sums[v][m]);
                } else {
                    A::store(to, sums[v][m], static_cast<unsigned>(count));
                }
            }
        }
    }

    // Asks for the lines that store() will write, so that they are there when the sums are.
    template <int Rows>
    static void prefetch_outputs(const Tile& tile) {
        for (int m = 0; m < Rows; ++m) {
            __builtin_prefetch(tile.out + m * tile.out_stride, 0, 3);
            __builtin_prefetch(tile.out + m * tile.out_stride + tile.out_columns - 1, 0, 3);
        }
    }

    // Of the panel to come, into the second-level cache.
    [[gnu::always_inline]] static const std::byte* prefetch(const std::byte* next, unsigned lines) {
        for (unsigned i = 0; i < lines; ++i, next += 64) __builtin_prefetch(next, 0, 2);
        return next;
    }

    // `Bits` bits of number `number` of a block (panel_layout.hpp), moved to bit `To` of each byte, among
    // others.
    template <int Bits, int To>
    [[gnu::always_inline]] static Ints load_bits(const std::byte* pairs, int number, std::size_t row) {
        constexpr int per_pair = 8 / Bits;
        const Ints bytes = A::load(pairs + number / per_pair * 128 + 4 * row);
        const int shift = Bits * (number % per_pair) - To;
        return shift > 0 ? A::shift_right(bytes, shift) : shift < 0 ? A::shift_left(bytes, -shift) : bytes;
    }

    // Four consecutive k (number 0 .. 7 of the block) of a vector of rows, as unsigned bytes.
    template <PanelFormat F>
    [[gnu::always_inline]] static Ints load_weights(const std::byte* pairs, int number, std::size_t row) {
        constexpr int low = low_bits(F), high = high_bits(F);
        Ints codes = load_bits<low, 0>(pairs + 128 * high, number, row);
        if constexpr (low < 8) codes = A::bit_and(codes, A::broadcast_byte((1 << low) - 1));
        if constexpr (high != 0) {
            codes = A::or_masked(codes, load_bits<high, low>(pairs, number, row),
                                 A::broadcast_byte(((1 << high) - 1) << low));
        }
        if constexpr (has_table(F)) {
            alignas(16) static constexpr CodeTable table = unsigned_table(F);
            codes = A::look_up(table.entries, codes);
        }
        return codes;
    }

    // Products of a half and a small integer, or halves alone: exact.
    template <PanelFormat F>
    [[gnu::always_inline]] static Floats load_scales(const std::byte* header, const std::byte* block,
                                                     int part, std::size_t row) {
        if constexpr (F == PanelFormat::mxfp4) {
            return A::load_bfloats(block + 2 * row);
        } else if constexpr (!has_header(F)) {
            return A::load_halves(block + 2 * row);
        } else {
            const std::byte* at = block + 32 * part + row;
            Ints integers;
            if constexpr (scales_per_block(F) == 2 && F != PanelFormat::q2_k) {
                integers = A::load_signed(at);
            } else {
                integers = A::load_unsigned(at);
            }
            if constexpr (F == PanelFormat::q2_k) integers = A::bit_and(integers, A::broadcast(15));
            return A::multiply(A::load_halves(header + 2 * row), A::to_floats(integers));
        }
    }

    // With a header the minimum is to be subtracted.
    template <PanelFormat F>
    [[gnu::always_inline]] static Floats load_minimums(const std::byte* header, const std::byte* block,
                                                       int part, std::size_t row) {
        if constexpr (!has_header(F)) {
            return A::load_halves(block + 64 + 2 * row);
        } else {
            constexpr bool packed = F == PanelFormat::q2_k;
            Ints integers = A::load_unsigned(block + row + (packed ? 32 * part : 32));
            if constexpr (packed) integers = A::shift_right(integers, 4);
            return A::multiply(A::load_halves(header + 64 + 2 * row), A::to_floats(integers));
        }
    }

    // sum((w + offset) * q) - offset * sum(q) = sum(w * q), exactly: starts at the second term.
    template <PanelFormat F, int Part, int Rows>
    [[gnu::always_inline]] static void dot(const Tile& tile, const std::byte* pairs, const std::int8_t* q,
                                           std::size_t b, int pass, Ints (&dots)[2][Rows]) {
        for (int m = 0; m < Rows; ++m) {
            const std::size_t at = m * tile.num_blocks + b;
            dots[0][m] = A::broadcast(0);
            if constexpr (offset_bits(F) != 0) {
                const std::int32_t sum =
                    scales_per_block(F) == 2 ? tile.negated_half_sums[2 * at + Part] : tile.negated_sums[at];
                dots[0][m] = A::shift_left_words(A::broadcast(sum), offset_bits(F));
            }
            dots[1][m] = dots[0][m];
        }
        constexpr bool wide = low_bits(F) == 8 || F == PanelFormat::iq4_nl;  // codes above 127
        constexpr int numbers = 8 / scales_per_block(F);
#pragma GCC unroll 8
        for (int number = Part * numbers; number < (Part + 1) * numbers; ++number) {
            const Ints weights[2] = {load_weights<F>(pairs, number, row_of(pass, 0)),
                                     load_weights<F>(pairs, number, row_of(pass, 1))};
            for (int m = 0; m < Rows; ++m) {
                std::int32_t four;
                std::memcpy(&four, q + m * tile.q_stride + 4 * number, sizeof four);
                const Ints activations = A::broadcast(four);
                dots[0][m] = A::template add_dot<wide>(dots[0][m], weights[0], activations);
                dots[1][m] = A::template add_dot<wide>(dots[1][m], weights[1], activations);
            }
        }
    }

    // What the k under scale number Part of block b add to the sums.
    template <PanelFormat F, int Part, int Rows>
    [[gnu::always_inline]] static void add_part(const Tile& tile, const std::byte* header,
                                                const std::byte* block, const std::int8_t* q, std::size_t b,
                                                int pass, Floats (&sums)[2][Rows]) {
        Ints dots[2][Rows];
        dot<F, Part, Rows>(tile, block + scale_bytes(F), q, b, pass, dots);
        for (int v = 0; v < 2; ++v) {
            const Floats scale = load_scales<F>(header, block, Part, row_of(pass, v));
            [[maybe_unused]] Floats minimum;
            if constexpr (has_minimums(F)) minimum = load_minimums<F>(header, block, Part, row_of(pass, v));
            for (int m = 0; m < Rows; ++m) {
                const std::size_t at = m * tile.num_blocks + b;
                sums[v][m] =
                    A::multiply_add(A::to_floats(dots[v][m]),
                                    A::multiply(scale, A::broadcast_float(tile.scales[at])), sums[v][m]);
                if constexpr (has_minimums(F)) {
                    float sum = tile.scaled_sums[at];
                    if constexpr (scales_per_block(F) == 2)
                        sum = tile.scales[at] * static_cast<float>(-tile.negated_half_sums[2 * at + Part]);
                    if constexpr (has_header(F)) {
                        sums[v][m] = A::subtract_product(minimum, A::broadcast_float(sum), sums[v][m]);
                    } else {
                        sums[v][m] = A::multiply_add(minimum, A::broadcast_float(sum), sums[v][m]);
                    }
                }
            }
        }
    }

    // Per block and accumulator: 8 dot products of four, and for each scale 1 multiplication, 1 or 2 fma
    // compete for the same ports; all else is beside.
    template <PanelFormat F, int Rows>
    static void quantized_tile(const Tile& tile) {
        prefetch_outputs<Rows>(tile);
        const std::byte* next = tile.prefetch;
        for (int pass = 0; pass < passes; ++pass) {
            Floats sums[2][Rows];
            for (int m = 0; m < Rows; ++m) sums[0][m] = sums[1][m] = A::broadcast_float(0.0F);
            const std::byte *header = tile.panel, *block = tile.panel;
            const std::int8_t* q = tile.q;
            for (std::size_t b = 0; b < tile.num_blocks; ++b, q += kBlockColumns, block += block_bytes(F)) {
                if (pass == 0) next = prefetch(next, tile.prefetch_lines);
                if (has_header(F) && b % kBlocksPerHeader == 0) {
                    header = block;
                    block += header_bytes(F);
                }
                add_part<F, 0, Rows>(tile, header, block, q, b, pass, sums);
                if constexpr (scales_per_block(F) == 2)
                    add_part<F, 1, Rows>(tile, header, block, q, b, pass, sums);
            }
            store(tile, pass, sums);
        }
    }

    // Column k of a vector of rows, widened. `odd` is k % 2, known when the compiler cannot see it in k.
    template <PanelFormat F>
    [[gnu::always_inline]] static Floats load_column(const std::byte* panel, std::size_t k,
                                                     [[maybe_unused]] bool odd, std::size_t row) {
        if constexpr (F == PanelFormat::f32) {
            return A::load_floats(panel + 128 * k + 4 * row);
        } else if constexpr (F == PanelFormat::f16) {
            return A::load_halves(panel + 64 * k + 2 * row);
        } else {
            return A::bfloats_of(A::load(panel + 128 * (k / 2) + 4 * row), odd);
        }
    }

    template <PanelFormat F, int Rows>
    [[gnu::always_inline]] static void add_column(const Tile& tile, std::size_t k, bool odd, int pass,
                                                  Floats (&sums)[2][Rows]) {
        const Floats weights[2] = {load_column<F>(tile.panel, k, odd, row_of(pass, 0)),
                                   load_column<F>(tile.panel, k, odd, row_of(pass, 1))};
        for (int m = 0; m < Rows; ++m) {
            const Floats x = A::broadcast_float(tile.x[m * tile.x_stride + k]);
            sums[0][m] = A::multiply_add(weights[0], x, sums[0][m]);
            sums[1][m] = A::multiply_add(weights[1], x, sums[1][m]);
        }
    }

    template <PanelFormat F, int Rows>
    static void float_tile(const Tile& tile) {
        prefetch_outputs<Rows>(tile);
        const std::byte* next = tile.prefetch;
        for (int pass = 0; pass < passes; ++pass) {
            Floats sums[2][Rows];
            for (int m = 0; m < Rows; ++m) sums[0][m] = sums[1][m] = A::broadcast_float(0.0F);
            std::size_t k = 0;
            for (; k + kPrefetchColumns <= tile.columns; k += kPrefetchColumns) {
                if (pass == 0) next = prefetch(next, tile.prefetch_lines);
#pragma GCC unroll 4
                for (std::size_t i = 0; i < kPrefetchColumns;
                     i += 2) {  // two at a time: bfloat16 comes in pairs
                    add_column<F, Rows>(tile, k + i, false, pass, sums);
                    add_column<F, Rows>(tile, k + i + 1, true, pass, sums);
                }
            }
            for (; k < tile.columns; ++k) add_column<F, Rows>(tile, k, k % 2 == 1, pass, sums);
            store(tile, pass, sums);
        }
    }

    template <PanelFormat F, int Rows>
    static void any_tile(const Tile& tile) {
        if constexpr (is_quantized(F)) {
            quantized_tile<F, Rows>(tile);
        } else {
            float_tile<F, Rows>(tile);
        }
    }

    template <PanelFormat F, class Rows>
    struct TileList;
    template <PanelFormat F, std::size_t... Index>
    struct TileList<F, std::index_sequence<Index...>> {
        static constexpr TileFunction by_rows[] = {any_tile<F, Index + 1>...};
    };
    template <PanelFormat F>
    using Tiles = TileList<F, std::make_index_sequence<is_quantized(F) ? A::quantized_rows : A::float_rows>>;

    static constexpr auto tiles() { return tiles_of<Tiles>(std::make_index_sequence<kNumPanelFormats>()); }
};

}  // namespace troupe
