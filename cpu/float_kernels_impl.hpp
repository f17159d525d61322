// The kernels of float_kernels.hpp, written once over a vector type. Included by the files that instantiate
// them. Nothing here may instantiate a template of the standard library that others share: the linker could
// pick the copy compiled for AVX-512 for everyone.
#pragma once
#include <cmath>
#include <cstddef>

#include "cpu/attention_kernel.hpp"
#include "cpu/float_kernels.hpp"
#include "cpu/vec_math.hpp"

namespace troupe {

template <class V>
struct FloatKernelsOf {
    // Calls f(index, count) for each vector's worth of n elements; count is 16 but for the last.
    template <class F>
    static void for_vectors(std::size_t n, F f) {
        for (std::size_t i = 0; i < n; i += V::lanes) f(i, n - i < V::lanes ? n - i : V::lanes);
    }

    static void rms_norm(const float* x, const float* w, std::size_t n, float eps, float* y) {
        V squares = V::zero();
        for_vectors(n, [&](std::size_t i, std::size_t count) {
            const V value = V::load(x + i, count);
            squares = fma(value, value, squares);
        });
        const V scale = V::broadcast(1.0F / __builtin_sqrtf(squares.sum() / static_cast<float>(n) + eps));
        for_vectors(n, [&](std::size_t i, std::size_t count) {
            (V::load(x + i, count) * scale * V::load(w + i, count)).store(y + i, count);
        });
    }

    static void scale(float* x, std::size_t n, float by) {
        for_vectors(n, [&](std::size_t i, std::size_t count) {
            (V::load(x + i, count) * V::broadcast(by)).store(x + i, count);
        });
    }

    static void add_scaled(float* x, const float* y, std::size_t n, float by) {
        for_vectors(n, [&](std::size_t i, std::size_t count) {
            fma(V::load(y + i, count), V::broadcast(by), V::load(x + i, count)).store(x + i, count);
        });
    }

    static void soft_cap(float* x, std::size_t n, float cap) {
        const V most = V::broadcast(cap);
        for_vectors(n, [&](std::size_t i, std::size_t count) {
            (most * tanh(V::load(x + i, count) / most)).store(x + i, count);
        });
    }

    static void silu_multiply(float* gate, const float* up, std::size_t n) {
        const V one = V::broadcast(1.0F);
        for_vectors(n, [&](std::size_t i, std::size_t count) {
            const V x = V::load(gate + i, count);
            (x / (one + exp(V::zero() - x)) * V::load(up + i, count)).store(gate + i, count);
        });
    }

    static void clamped_swiglu(float* gate, const float* up, std::size_t n, float alpha, float limit) {
        const V one = V::broadcast(1.0F);
        const V most = V::broadcast(limit);
        const V least = V::broadcast(-limit);
        const V negative_alpha = V::broadcast(-alpha);
        for_vectors(n, [&](std::size_t i, std::size_t count) {
            const V g = min(most, V::load(gate + i, count));  // in this order a NaN stays
            const V u = max(least, min(most, V::load(up + i, count)));
            (g / (one + exp(negative_alpha * g)) * (u + one)).store(gate + i, count);
        });
    }

    static float dot(const float* x, const float* y, std::size_t n) {
        V sums = V::zero();
        for_vectors(n, [&](std::size_t i, std::size_t count) {
            sums = fma(V::load(x + i, count), V::load(y + i, count), sums);
        });
        return sums.sum();
    }

    // x / 2 * (1 + tanh(y)) with y = sqrt(2 / pi) * (x + 0.044715 x^3) is x / (1 + e^(-2y)).
    static void gelu_multiply(float* gate, const float* up, std::size_t n) {
        const V one = V::broadcast(1.0F);
        const V linear = V::broadcast(-1.5957691216F);  // -2 * sqrt(2 / pi)
        const V cubic = V::broadcast(0.044715F);
        for_vectors(n, [&](std::size_t i, std::size_t count) {
            const V x = V::load(gate + i, count);
            const V exponent = x * linear * (one + cubic * x * x);
            (x / (one + exp(exponent)) * V::load(up + i, count)).store(gate + i, count);
        });
    }

    static void rope(float* x, const Rotation& rotation) {
        const std::size_t half = rotation.rotated / 2;
        const std::size_t apart = rotation.interleaved ? 1 : half;
        for (std::size_t head = 0; head < rotation.heads; ++head, x += rotation.head_dim) {
            for (std::size_t i = 0; i < half; ++i) {
                float* first = x + (rotation.interleaved ? 2 * i : i);
                const float a = first[0];
                const float b = first[apart];
                first[0] = a * rotation.cosines[i] - b * rotation.sines[i];
                first[apart] = b * rotation.cosines[i] + a * rotation.sines[i];
            }
        }
    }

    static void attend(KvType type, const AttentionPiece& piece) {
        switch (type) {
            case KvType::f32:
                return AttentionKernel<V, float>::attend(piece);
            case KvType::f16:
                return AttentionKernel<V, Half>::attend(piece);
            case KvType::bf16:
                return AttentionKernel<V, BFloat16>::attend(piece);
            case KvType::int8:
                return AttentionKernel<V, std::int8_t>::attend(piece);
        }
    }

    static void merge(float* maximum, float* sum, float* values, float later_maximum, float later_sum,
                      const float* later_values, std::size_t n) {
        const float top = *maximum > later_maximum ? *maximum : later_maximum;
        const V before = exp(V::broadcast(*maximum - top));
        const V later = exp(V::broadcast(later_maximum - top));
        fma(V::broadcast(later_sum), later, V::broadcast(*sum) * before).store(sum, 1);
        *maximum = top;
        for_vectors(n, [&](std::size_t i, std::size_t) {
            fma(V::load(later_values + i), later, V::load(values + i) * before).store(values + i);
        });
    }

    static void divide(float* values, float by, std::size_t n) {
        for_vectors(n, [&](std::size_t i, std::size_t) {
            (V::load(values + i) / V::broadcast(by)).store(values + i);
        });
    }

    static void store_kv(KvType type, const float* x, std::size_t n, std::size_t stride, std::byte* out,
                         float* scale) {
        switch (type) {
            case KvType::f32:
                for (std::size_t i = 0; i < n; ++i) reinterpret_cast<float*>(out)[i * stride] = x[i];
                return;
            case KvType::f16:
                return store_halves(x, n, stride, reinterpret_cast<Half*>(out));
            case KvType::bf16:
                for (std::size_t i = 0; i < n; ++i)
                    reinterpret_cast<BFloat16*>(out)[i * stride] = to_bfloat16(x[i]);
                return;
            case KvType::int8:
                return store_int8(x, n, stride, reinterpret_cast<std::int8_t*>(out), scale);
        }
    }

    static void store_int8(const float* x, std::size_t n, std::size_t stride, std::int8_t* out,
                           float* scale) {
        V largest = V::zero();
        V poison = V::zero();  // stays 0 unless a value is not finite
        for_vectors(n, [&](std::size_t i, std::size_t count) {
            const V value = V::load(x + i, count);
            largest = max(largest, max(value, V::zero() - value));
            poison = fma(value, V::zero(), poison);
        });
        const float most = largest.max();
        const bool tiny = most < 1e-30F;  // 127 / most could overflow
        *scale = (tiny ? 0.0F : most / 127.0F) + poison.sum();
        const V by = V::broadcast(tiny ? 0.0F : 127.0F / most);
        const V rounder = V::broadcast(12582912.0F);  // adding it leaves the nearest integer
        for_vectors(n, [&](std::size_t i, std::size_t count) {
            float rounded[V::lanes];
            (V::load(x + i, count) * by + rounder - rounder).store(rounded);
            for (std::size_t j = 0; j < count; ++j)
                out[(i + j) * stride] = poison_free(*scale) ? static_cast<std::int8_t>(rounded[j]) : 0;
        });
    }
    static bool poison_free(float scale) { return scale == scale; }

    static void store_halves(const float* x, std::size_t n, std::size_t stride, Half* out) {
        for_vectors(n, [&](std::size_t i, std::size_t count) {
            const V value = V::load(x + i, count);
            if (stride == 1) {
                value.store(out + i, count);
            } else {
                Half halves[V::lanes];
                value.store(halves);
                for (std::size_t j = 0; j < count; ++j) out[(i + j) * stride] = halves[j];
            }
        });
    }

    static constexpr FloatKernels table{&rms_norm,       &scale,  &add_scaled,    &soft_cap, &silu_multiply,
                                        &clamped_swiglu, &dot,    &gelu_multiply, &rope,     &attend,
                                        &merge,          &divide, &store_kv};
};

}  // namespace troupe
