// Sixteen float lanes in plain C++: what vec_avx512.hpp does in one instruction, with the same bits. Kernels
// are templates over either (cpu/float_kernels_impl.hpp), so that one source gives both paths.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "model/exp.hpp"
#include "model/float16.hpp"

namespace troupe {

struct VecPortable {
    static constexpr std::size_t lanes = 16;
    float v[lanes];

    static VecPortable broadcast(float x) {
        VecPortable r;
        for (float& lane : r.v) lane = x;
        return r;
    }
    static VecPortable zero() { return broadcast(0.0F); }

    // Lanes from `count` on are zero. Sources need not be aligned, not even to their element.
    template <class Element>
    static VecPortable load(const Element* from, std::size_t count = lanes) {
        VecPortable r = zero();
        for (std::size_t i = 0; i < count; ++i) {
            Element element;
            std::memcpy(&element, from + i, sizeof element);
            r.v[i] = widen(element);
        }
        return r;
    }
    void store(float* to, std::size_t count = lanes) const { std::memcpy(to, v, count * sizeof(float)); }
    void store(Half* to, std::size_t count = lanes) const {
        for (std::size_t i = 0; i < count; ++i) to[i] = to_half(v[i]);
    }

    // Lanes below `count`, zero elsewhere.
    VecPortable first(std::size_t count) const {
        VecPortable r = *this;
        for (std::size_t i = count; i < lanes; ++i) r.v[i] = 0.0F;
        return r;
    }
    // Lanes from `start` on, zero elsewhere.
    VecPortable from(std::size_t start) const {
        VecPortable r = *this;
        for (std::size_t i = 0; i < start; ++i) r.v[i] = 0.0F;
        return r;
    }
    // Pairwise: lanes 8 apart, then 4, 2, 1.
    float sum() const {
        VecPortable r = *this;
        for (std::size_t half = lanes / 2; half != 0; half /= 2) {
            for (std::size_t i = 0; i < half; ++i) r.v[i] += r.v[i + half];
        }
        return r.v[0];
    }
    float max() const {
        float r = v[0];
        for (const float lane : v) r = r > lane ? r : lane;
        return r;
    }

    friend VecPortable operator+(VecPortable a, VecPortable b) {
        return zip(a, b, [](float x, float y) { return x + y; });
    }
    friend VecPortable operator-(VecPortable a, VecPortable b) {
        return zip(a, b, [](float x, float y) { return x - y; });
    }
    friend VecPortable operator*(VecPortable a, VecPortable b) {
        return zip(a, b, [](float x, float y) { return x * y; });
    }
    friend VecPortable operator/(VecPortable a, VecPortable b) {
        return zip(a, b, [](float x, float y) { return x / y; });
    }
    friend VecPortable max(VecPortable a, VecPortable b) {
        return zip(a, b, [](float x, float y) { return x > y ? x : y; });
    }
    friend VecPortable min(VecPortable a, VecPortable b) {
        return zip(a, b, [](float x, float y) { return x < y ? x : y; });
    }
    friend VecPortable fma(VecPortable a, VecPortable b, VecPortable c) {
        for (std::size_t i = 0; i < lanes; ++i) c.v[i] = __builtin_fmaf(a.v[i], b.v[i], c.v[i]);
        return c;
    }
    friend VecPortable choose_below(VecPortable x, float bound, VecPortable below, VecPortable other) {
        for (std::size_t i = 0; i < lanes; ++i) {
            if (!(__builtin_fabsf(x.v[i]) >= bound)) other.v[i] = below.v[i];
        }
        return other;
    }
    friend VecPortable exp(VecPortable x) {
        for (float& lane : x.v) lane = exp_f32(lane);
        return x;
    }

  private:
    static float widen(float x) { return x; }
    static float widen(Half x) { return to_float(x); }
    static float widen(BFloat16 x) { return to_float(x); }
    static float widen(std::int8_t x) { return static_cast<float>(x); }

    template <class F>
    static VecPortable zip(const VecPortable& a, const VecPortable& b, F f) {
        VecPortable r;
        for (std::size_t i = 0; i < lanes; ++i) r.v[i] = f(a.v[i], b.v[i]);
        return r;
    }
};

}  // namespace troupe
