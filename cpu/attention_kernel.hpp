// One piece of paged attention for a few rows (float_kernels.hpp: AttentionPiece), over a vector type V and
// the element type of the cache. K lies with 16 tokens side by side, so that a vector holds 16 scores and
// none needs a horizontal sum; V lies with dimensions side by side. Every score is one chain of fused
// multiply-adds over the dimensions, every value one chain over the tokens, both ascending: tiles only choose
// what is done together.
#pragma once
#include <cstddef>
#include <limits>
#include <utility>

#include "cpu/float_kernels.hpp"

namespace troupe {

template <class V, class Element>
struct AttentionKernel {
    static constexpr std::size_t lanes = V::lanes;
    static_assert(lanes == attention_group);

    // Scores of R rows and two groups of tokens (or one): a tile of 2 R accumulators.
    template <std::size_t R, std::size_t Groups>
    static void score_tile(const AttentionPiece& piece, std::size_t group, std::size_t num_groups) {
        const std::size_t rows = piece.num_queries * piece.heads;
        V sums[Groups][R];
        for (auto& group_sums : sums) {
            for (V& sum : group_sums) sum = V::zero();
        }
        const Element* k[Groups];
        const Element* next[Groups];  // what is read after: the next groups, or the first values
        for (std::size_t g = 0; g < Groups; ++g) {
            k[g] = static_cast<const Element*>(piece.k[group + g]);
            next[g] = static_cast<const Element*>(
                group + g + Groups < num_groups ? piece.k[group + g + Groups] : piece.v[g]);
        }
        for (std::size_t d = 0; d < piece.head_dim; ++d) {
            V tokens[Groups];
            for (std::size_t g = 0; g < Groups; ++g) {
                __builtin_prefetch(next[g] + d * piece.k_stride);
                tokens[g] = V::load(k[g] + d * piece.k_stride);
            }
            const float* q = piece.q + d * rows;
#pragma GCC unroll 12
            for (std::size_t r = 0; r < R; ++r) {
                const V query = V::broadcast(q[r]);
#pragma GCC unroll 2
                for (std::size_t g = 0; g < Groups; ++g) sums[g][r] = fma(tokens[g], query, sums[g][r]);
            }
        }
        for (std::size_t g = 0; g < Groups; ++g) {
            for (std::size_t r = 0; r < R; ++r) {
                sums[g][r].store(piece.scores + r * attention_piece + (group + g) * lanes);
            }
        }
    }

    template <std::size_t R>
    static void scores(const AttentionPiece& piece, std::size_t num_groups) {
        std::size_t group = 0;
        for (; group + 2 <= num_groups; group += 2) score_tile<R, 2>(piece, group, num_groups);
        if (group < num_groups) score_tile<R, 1>(piece, group, num_groups);
    }

    // Scores of a row to exp(score - maximum), with their maximum and sum; `count` tokens are visible.
    static void softmax(float* scores, std::size_t count, float& maximum, float& sum) {
        constexpr float hidden = -std::numeric_limits<float>::infinity();
        for (std::size_t i = count; i % lanes != 0; ++i) scores[i] = hidden;
        V top = V::load(scores);
        for (std::size_t i = lanes; i < count; i += lanes) top = max(top, V::load(scores + i));
        maximum = top.max();
        const V subtracted = V::broadcast(maximum);
        V total = V::zero();
        for (std::size_t i = 0; i < count; i += lanes) {
            const std::size_t live = count - i < lanes ? count - i : lanes;
            const V p = exp(V::load(scores + i) - subtracted).first(live);
            total = total + p;
            p.store(scores + i);
        }
        sum = total.sum();
    }

    // values[row] += p * V for R rows from `row`, tokens [begin, end), a few vectors of dimensions from
    // `dim`. Groups lie apart in memory: while one is read, the next is asked for, a line at a time.
    template <std::size_t R, std::size_t Vectors>
    static void value_tile(const AttentionPiece& piece, std::size_t row, std::size_t begin, std::size_t end,
                           std::size_t dim) {
        const std::size_t width = padded_head_dim(piece.head_dim);
        V sums[R][Vectors];
        for (std::size_t r = 0; r < R; ++r) {
            for (std::size_t j = 0; j < Vectors; ++j) {
                sums[r][j] = V::load(piece.values + (row + r) * width + dim + j * lanes);
            }
        }
        for (std::size_t t = begin; t < end;) {
            const std::size_t group = t / lanes;
            const Element* v = static_cast<const Element*>(piece.v[group]) + t % lanes * width + dim;
            const std::size_t stop = end < (group + 1) * lanes ? end : (group + 1) * lanes;
            const Element* next = static_cast<const Element*>(piece.v[stop < end ? group + 1 : group]) + dim;
            for (; t < stop; ++t, v += width) {
                __builtin_prefetch(next + t % lanes * width);
                V dims[Vectors];
#pragma GCC unroll 4
                for (std::size_t j = 0; j < Vectors; ++j) dims[j] = V::load(v + j * lanes);
                const float* p = piece.scores + row * attention_piece + t;
#pragma GCC unroll 12
                for (std::size_t r = 0; r < R; ++r) {
                    const V weight = V::broadcast(p[r * attention_piece]);
#pragma GCC unroll 4
                    for (std::size_t j = 0; j < Vectors; ++j) sums[r][j] = fma(weight, dims[j], sums[r][j]);
                }
            }
        }
        for (std::size_t r = 0; r < R; ++r) {
            for (std::size_t j = 0; j < Vectors; ++j) {
                sums[r][j].store(piece.values + (row + r) * width + dim + j * lanes);
            }
        }
    }

    template <std::size_t R>
    static void values(const AttentionPiece& piece, std::size_t row, std::size_t begin, std::size_t end) {
        const std::size_t width = padded_head_dim(piece.head_dim);
        std::size_t dim = 0;
        if constexpr (R <= 6) {  // four vectors still fit the registers
            for (; dim + 4 * lanes <= width; dim += 4 * lanes) value_tile<R, 4>(piece, row, begin, end, dim);
        }
        for (; dim + 2 * lanes <= width; dim += 2 * lanes) value_tile<R, 2>(piece, row, begin, end, dim);
        if (dim < width) value_tile<R, 1>(piece, row, begin, end, dim);
    }

    using ScoresFunction = void (*)(const AttentionPiece&, std::size_t);
    using ValuesFunction = void (*)(const AttentionPiece&, std::size_t, std::size_t, std::size_t);
    struct Tiles {  // [rows - 1]
        ScoresFunction scores[max_attention_rows];
        ValuesFunction values[max_attention_rows];
    };
    template <std::size_t... Index>
    static constexpr Tiles make_tiles(std::index_sequence<Index...>) {
        return {{&scores<Index + 1>...}, {&values<Index + 1>...}};
    }
    static constexpr Tiles tiles = make_tiles(std::make_index_sequence<max_attention_rows>());

    static void attend(const AttentionPiece& piece) {
        const std::size_t rows = piece.num_queries * piece.heads;
        const auto visible = [&](std::size_t query) {
            const std::size_t count = piece.visible + query;
            return count < attention_piece ? count : attention_piece;
        };
        const std::size_t most = visible(piece.num_queries - 1);
        tiles.scores[rows - 1](piece, (most + lanes - 1) / lanes);
        for (std::size_t row = 0; row < rows; ++row) {
            softmax(piece.scores + row * attention_piece, visible(row / piece.heads), piece.maximum[row],
                    piece.sum[row]);
        }
        const std::size_t width = padded_head_dim(piece.head_dim);
        for (std::size_t i = 0; i < rows * width; i += lanes) V::zero().store(piece.values + i);
        // What all queries see together, then what later queries see besides: no masked product, which could
        // bring in a NaN from memory that holds another sequence's leavings.
        tiles.values[rows - 1](piece, 0, 0, visible(0));
        for (std::size_t query = 1; query < piece.num_queries; ++query) {
            if (visible(query) > visible(0)) {
                tiles.values[piece.heads - 1](piece, query * piece.heads, visible(0), visible(query));
            }
        }
    }
};

}  // namespace troupe
