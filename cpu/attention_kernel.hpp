// One piece of paged attention for a few rows (float_kernels.hpp: AttentionPiece), over a vector type V and
// the element type of the cache. K lies with 16 tokens side by side, so that a vector holds 16 scores and
// none needs a horizontal sum; V lies with dimensions side by side. Every score is one chain of fused
// multiply-adds over the dimensions, every value one chain over the tokens, both ascending: tiles only choose
// what is done together. What a query does not see, because it comes later or has left the window, is hidden
// in the scores and left out of the values: never a masked product, which could bring in a NaN from memory
// that holds another sequence's leavings.
#pragma once
#include <cstddef>
#include <limits>
#include <utility>

#include "cpu/float_kernels.hpp"
#include "cpu/vec_math.hpp"

namespace troupe {

template <class V, class Element>
struct AttentionKernel {
    static constexpr std::size_t lanes = V::lanes;
    static_assert(lanes == attention_group);
    static constexpr bool scaled = sizeof(Element) == 1;  // int8: each token's K and V have a scale

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
        const std::size_t first = first_of(piece, 0) / lanes;
        for (std::size_t g = 0; g < Groups; ++g) {
            k[g] = static_cast<const Element*>(piece.k[group + g]);
            next[g] = static_cast<const Element*>(
                group + g + Groups < num_groups ? piece.k[group + g + Groups] : piece.v[first + g]);
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
            if constexpr (scaled) {
                const V scales = V::load(piece.k_scales[group + g]);
                for (std::size_t r = 0; r < R; ++r) sums[g][r] = sums[g][r] * scales;
            }
            for (std::size_t r = 0; r < R; ++r) {
                sums[g][r].store(piece.scores + r * attention_piece + (group + g) * lanes);
            }
        }
    }

    // Groups [group, num_groups).
    template <std::size_t R>
    static void scores(const AttentionPiece& piece, std::size_t group, std::size_t num_groups) {
        for (; group + 2 <= num_groups; group += 2) score_tile<R, 2>(piece, group, num_groups);
        if (group < num_groups) score_tile<R, 1>(piece, group, num_groups);
    }

    static void cap_scores(float* scores, std::size_t begin, std::size_t end, float cap) {
        const V most = V::broadcast(cap);
        for (std::size_t i = begin; i < end; i += lanes) {
            (most * tanh(V::load(scores + i) / most)).store(scores + i);
        }
    }

    // Scores of a row to exp(score - maximum), with their maximum and sum; tokens [first, count) are visible.
    static void softmax(float* scores, std::size_t first, std::size_t count, float& maximum, float& sum) {
        constexpr float hidden = -std::numeric_limits<float>::infinity();
        const std::size_t begin = first / lanes * lanes;
        for (std::size_t i = begin; i < first; ++i) scores[i] = hidden;
        for (std::size_t i = count; i % lanes != 0; ++i) scores[i] = hidden;
        V top = V::load(scores + begin);
        for (std::size_t i = begin + lanes; i < count; i += lanes) top = max(top, V::load(scores + i));
        maximum = top.max();
        const V subtracted = V::broadcast(maximum);
        V total = V::zero();
        for (std::size_t i = begin; i < count; i += lanes) {
            const std::size_t live = count - i < lanes ? count - i : lanes;
            V p = exp(V::load(scores + i) - subtracted).first(live);
            if (i < first) p = p.from(first - i);
            total = total + p;
            p.store(scores + i);
        }
        sum = total.sum();
    }

    // The values' scales go into the weights of their tokens, after those were summed up. Lanes of tokens
    // that the row does not see become anything: nobody reads them.
    static void scale_weights(const AttentionPiece& piece, float* scores, std::size_t first,
                              std::size_t count) {
        for (std::size_t i = first / lanes * lanes; i < count; i += lanes)
            (V::load(scores + i) * V::load(piece.v_scales[i / lanes])).store(scores + i);
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

    using ScoresFunction = void (*)(const AttentionPiece&, std::size_t, std::size_t);
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

    static std::size_t first_of(const AttentionPiece& piece, std::size_t query) {
        const std::int64_t first = piece.first + static_cast<std::int64_t>(query);
        return first > 0 ? static_cast<std::size_t>(first) : 0;
    }
    static std::size_t end_of(const AttentionPiece& piece, std::size_t query) {
        const std::size_t end = piece.visible + query;
        return end < attention_piece ? end : attention_piece;
    }

    static void attend(const AttentionPiece& piece) {
        const std::size_t rows = piece.num_queries * piece.heads;
        const std::size_t last = piece.num_queries - 1;
        tiles.scores[rows - 1](piece, first_of(piece, 0) / lanes, (end_of(piece, last) + lanes - 1) / lanes);
        for (std::size_t row = 0; row < rows; ++row) {
            const std::size_t first = first_of(piece, row / piece.heads);
            const std::size_t end = end_of(piece, row / piece.heads);
            float* scores = piece.scores + row * attention_piece;
            if (piece.softcap != 0.0F) cap_scores(scores, first / lanes * lanes, end, piece.softcap);
            softmax(scores, first, end, piece.maximum[row], piece.sum[row]);
            if constexpr (scaled) scale_weights(piece, scores, first, end);
        }
        const std::size_t width = padded_head_dim(piece.head_dim);
        for (std::size_t i = 0; i < rows * width; i += lanes) V::zero().store(piece.values + i);
        // What earlier queries alone see, what all see together, what later queries alone see.
        const std::size_t begin = first_of(piece, last);
        const std::size_t end = end_of(piece, 0);
        if (begin >= end) {  // a window shorter than the tile
            for (std::size_t query = 0; query <= last; ++query)
                query_values(piece, query, first_of(piece, query), end_of(piece, query));
            return;
        }
        for (std::size_t query = 0; query < last; ++query)
            query_values(piece, query, first_of(piece, query), begin);
        tiles.values[rows - 1](piece, 0, begin, end);
        for (std::size_t query = 1; query <= last; ++query)
            query_values(piece, query, end, end_of(piece, query));
    }

    static void query_values(const AttentionPiece& piece, std::size_t query, std::size_t begin,
                             std::size_t end) {
        if (begin < end) tiles.values[piece.heads - 1](piece, query * piece.heads, begin, end);
    }
};

}  // namespace troupe
