// Row-wise float32 kernels and paged attention, one table of functions per instruction set. All paths give
// the same bits: sums run over sixteen lanes and end in one fixed tree, whatever the machine (vec_*.hpp).
#pragma once
#include <cstddef>
#include <cstdint>

#include "cpu/cpu_features.hpp"
#include "model/float16.hpp"

namespace troupe {

// Of the cache's elements. int8 has a scale for each token of each head: value = scale * element.
enum class KvType : std::uint8_t { f32, f16, bf16, int8 };

// The context is cut at every 256th absolute position. A query's attention to one piece is computed by
// itself, and pieces are merged first to last, so that its bits do not depend on who computes which piece.
inline constexpr std::size_t attention_piece = 256;
// Lanes of a score vector. A block table whose blocks are no multiple of it is gathered first.
inline constexpr std::size_t attention_group = 16;
inline constexpr std::size_t groups_per_piece = attention_piece / attention_group;
// Most (query, head) rows in one call: what fits the registers.
inline constexpr std::size_t max_attention_rows = 12;

// Attention of `num_queries` consecutive tokens of a sequence, each with `heads` query heads that share one
// KV head, to one piece. Rows are (query, head) pairs, query-major.
struct AttentionPiece {
    std::size_t num_queries = 0;
    std::size_t heads = 0;
    std::size_t head_dim = 0;
    // Query i sees the piece's tokens [max(0, first + i), min(256, visible + i)), at least one. A negative
    // `first` is the start of a sliding window that began in an earlier piece, or at no token at all.
    std::int64_t first = 0;
    std::size_t visible = 0;
    float softcap = 0.0F;      // scores become softcap * tanh(score / softcap); 0: they stay
    const float* q = nullptr;  // [head_dim][rows], scaled
    // Of each group of 16 tokens that a query sees one of:
    const void* k[groups_per_piece];  // its first token's K: [head_dim] at k_stride
    const void* v[groups_per_piece];  // [16][padded head_dim]
    std::size_t k_stride = 0;         // elements between dimensions
    // int8: of each group the scales of its 16 tokens.
    const float* k_scales[groups_per_piece];
    const float* v_scales[groups_per_piece];
    float* scores = nullptr;   // scratch [rows][256]
    float* maximum = nullptr;  // out [rows]
    float* sum = nullptr;      // out [rows] of exp(score - maximum)
    float* values = nullptr;   // out [rows][padded head_dim], not divided by the sum
};

// V rows and outputs are padded to whole vectors with zeros.
constexpr std::size_t padded_head_dim(std::size_t head_dim) { return (head_dim + 15) / 16 * 16; }

// Of the pairs in the first `rotated` dimensions of each head.
struct Rotation {
    std::size_t heads = 0;
    std::size_t head_dim = 0;
    std::size_t rotated = 0;
    bool interleaved = false;
    const float* cosines = nullptr;  // [rotated / 2]
    const float* sines = nullptr;
};

struct FloatKernels {
    // y = x / sqrt(mean(x^2) + eps) * w; y may be x
    void (*rms_norm)(const float* x, const float* w, std::size_t n, float eps, float* y);
    void (*scale)(float* x, std::size_t n, float by);                       // x *= by
    void (*add_scaled)(float* x, const float* y, std::size_t n, float by);  // x += y * by
    void (*soft_cap)(float* x, std::size_t n, float cap);                   // x = cap * tanh(x / cap)
    // gate * sigmoid(gate) * up, into gate
    void (*silu_multiply)(float* gate, const float* up, std::size_t n);
    // gpt-oss's: g * sigmoid(alpha * g) * (u + 1) with g = min(gate, limit) and u = up within +-limit, into
    // gate
    void (*clamped_swiglu)(float* gate, const float* up, std::size_t n, float alpha, float limit);
    float (*dot)(const float* x, const float* y, std::size_t n);
    // gelu(gate) * up, into gate; gelu by its approximation with tanh
    void (*gelu_multiply)(float* gate, const float* up, std::size_t n);
    void (*rope)(float* x, const Rotation& rotation);  // in place
    void (*attend)(KvType type, const AttentionPiece& piece);
    // Merges a later piece into an earlier result; maximum, sum and values[n] as in AttentionPiece.
    void (*merge)(float* maximum, float* sum, float* values, float later_maximum, float later_sum,
                  const float* later_values, std::size_t n);
    void (*divide)(float* values, float by, std::size_t n);  // values[n], n a multiple of 16
    // out[i * stride] = x[i] in the cache's type; int8: rounded to 127ths of the largest, whose 127th becomes
    // *scale (not a number if some x is not finite).
    void (*store_kv)(KvType type, const float* x, std::size_t n, std::size_t stride, std::byte* out,
                     float* scale);
};

const FloatKernels& float_kernels(KernelPath path);  // precondition: kernel_path_supported(path)

// The tables, each in a file compiled for its instruction set.
const FloatKernels& portable_float_kernels();
const FloatKernels& avx2_float_kernels();
const FloatKernels& avx512_float_kernels();

}  // namespace troupe
