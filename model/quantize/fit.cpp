#include "model/quantize/fit.hpp"

#include <cmath>

namespace troupe {
namespace {

constexpr float top_code = 15.0F;
constexpr int candidates = 21;         // scales from one code less to one code more than the plain one
constexpr float first_offset = -1.0F;  // in codes
constexpr float offset_step = 0.1F;
constexpr int refinements = 3;

// Sums that the least squares of a set of codes need.
struct Sums {
    float w = 0, wx = 0, wxx = 0;    // of the values, whatever the codes
    float wq = 0, wqq = 0, wqx = 0;  // with the codes
};

void sum_codes(const float* x, const float* w, float inverse, float origin, Sums& sums) {
    Lanes wq{}, wqq{}, wqx{};
    for (std::size_t i = 0; i < fit_group; i += 4) {
        const Lanes value = load_lanes(x + i);
        const Lanes q = nearest(clamped((value - origin) * inverse, 0.0F, top_code));
        const Lanes weighted = load_lanes(w + i) * q;
        wq += weighted;
        wqq += weighted * q;
        wqx += weighted * value;
    }
    sums.wq = sum_of(wq);
    sums.wqq = sum_of(wqq);
    sums.wqx = sum_of(wqx);
}

// The scale and minimum that fit the codes best, and their squared error. False: the codes are all alike.
bool solve(const Sums& s, bool minimum_below_zero, Fit& fit, float& error) {
    const float determinant = s.w * s.wqq - s.wq * s.wq;
    if (!(determinant > 0.0F)) return false;
    fit.scale = (s.w * s.wqx - s.wq * s.wx) / determinant;
    fit.minimum = (s.wqq * s.wx - s.wq * s.wqx) / determinant;
    if (minimum_below_zero && fit.minimum > 0.0F) {
        fit.minimum = 0.0F;
        fit.scale = s.wqx / s.wqq;
    }
    if (!(fit.scale > 0.0F)) return false;
    error = s.wxx - 2.0F * (fit.scale * s.wqx + fit.minimum * s.wx) + fit.scale * fit.scale * s.wqq +
            2.0F * fit.scale * fit.minimum * s.wq + fit.minimum * fit.minimum * s.w;
    return true;
}

}  // namespace

bool fit_weights(const float* x, float* weights) {
    double squares = 0;
    for (std::size_t i = 0; i < fit_group; ++i) squares += static_cast<double>(x[i]) * x[i];
    if (!std::isfinite(squares)) return false;
    const auto rms = static_cast<float>(std::sqrt(squares / fit_group));
    // Of any size alike: only the proportions matter, and squares of tiny weights would vanish.
    const float by = rms > 0.0F ? 1.0F / rms : 0.0F;
    for (std::size_t i = 0; i < fit_group; ++i) weights[i] = 1.0F + std::fabs(x[i]) * by;
    return true;
}

Fit fit_with_minimum(const float* x, const float* weights, bool minimum_below_zero) {
    float low = x[0];
    float high = x[0];
    Sums sums;
    for (std::size_t i = 0; i < fit_group; ++i) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
        sums.w += weights[i];
        sums.wx += weights[i] * x[i];
        sums.wxx += weights[i] * x[i] * x[i];
    }
    if (minimum_below_zero && low > 0.0F) low = 0.0F;
    if (minimum_below_zero && high < 0.0F) high = 0.0F;
    if (!(high > low)) return {0.0F, low};
    Fit best{(high - low) / top_code, low};
    float least = INFINITY;
    const auto consider = [&](float inverse, float origin) {
        Fit fit;
        float error = 0;
        sum_codes(x, weights, inverse, origin, sums);
        if (!solve(sums, minimum_below_zero, fit, error) || !(error < least)) return false;
        least = error;
        best = fit;
        return true;
    };
    for (int i = 0; i < candidates; ++i)
        consider((top_code + first_offset + offset_step * static_cast<float>(i)) / (high - low), low);
    for (int i = 0; i < refinements; ++i)
        if (!consider(1.0F / best.scale, best.minimum)) break;
    return best;
}

float fit_signed(const float* x, const float* weights) {
    float extreme = 0.0F;  // the value that is furthest from 0
    for (std::size_t i = 0; i < fit_group; ++i)
        if (std::fabs(x[i]) > std::fabs(extreme)) extreme = x[i];
    if (extreme == 0.0F) return 0.0F;
    float best = extreme / -8.0F;
    float most = 0.0F;  // of the error that the codes take away
    const auto consider = [&](float inverse) {
        Lanes squares{}, products{};
        for (std::size_t i = 0; i < fit_group; i += 4) {
            const Lanes value = load_lanes(x + i);
            const Lanes q = nearest(clamped(value * inverse, -8.0F, 7.0F));
            const Lanes weighted = load_lanes(weights + i) * q;
            squares += weighted * q;
            products += weighted * value;
        }
        const float wqq = sum_of(squares), wqx = sum_of(products);
        if (!(wqq > 0.0F) || !(wqx * wqx > most * wqq)) return false;
        most = wqx * wqx / wqq;
        best = wqx / wqq;
        return true;
    };
    for (int i = 0; i < candidates; ++i) {
        const float offset = first_offset + offset_step * static_cast<float>(i);
        consider((-8.0F + offset) / extreme);
        consider((7.0F + offset) / extreme);
    }
    for (int i = 0; i < refinements && best != 0.0F; ++i)
        if (!consider(1.0F / best)) break;
    return best;
}

}  // namespace troupe
