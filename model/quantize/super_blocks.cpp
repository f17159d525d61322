// Q4_K: 8 groups of 32 weights, weight = d * s * code - m * n with d and m of the block in half precision, s
// and n of the group in 6 bits, code in 4. Each group is fitted by itself; then its two numbers are rounded
// to the neighbours that leave the least error, d and m are fitted to what came out, and all is rounded once
// more.
#include <array>
#include <cmath>

#include "model/quantize/blocks.hpp"
#include "model/quantize/fit.hpp"
#include "model/quantize/quantize.hpp"

namespace troupe {
namespace {

constexpr std::size_t num_groups = 8;
constexpr std::size_t q4_k_columns = num_groups * fit_group;
constexpr std::size_t q4_k_bytes = 144;
constexpr float top_factor = 63.0F;
constexpr float top_code = 15.0F;

struct Group {
    const float* x = nullptr;
    float weights[fit_group];
    Fit fit;
    float scale_factor = 0, minimum_factor = 0;
};

struct Block {
    std::array<Group, num_groups> groups;
    Half scale, minimum;  // d, m
};

void round_codes(const float* x, float scale, float minimum, float* codes) {
    const float inverse = inverse_of(scale);
    for (std::size_t i = 0; i < fit_group; ++i)
        codes[i] = nearest(clamped((x[i] + minimum) * inverse, 0.0F, top_code));
}

float error_of(const Group& group, float scale, float minimum) {
    const float inverse = inverse_of(scale);
    Lanes error{};
    for (std::size_t i = 0; i < fit_group; i += 4) {
        const Lanes x = load_lanes(group.x + i);
        const Lanes code = nearest(clamped((x + minimum) * inverse, 0.0F, top_code));
        const Lanes difference = x - (code * scale - minimum);
        error += load_lanes(group.weights + i) * difference * difference;
    }
    return sum_of(error);
}

// The group's factors, under the block's scales: the best of the nearest and its neighbours. Gives the error.
float choose_factors(Group& group, float d, float m) {
    const float scale = nearest(clamped(group.fit.scale * inverse_of(d), 0.0F, top_factor));
    const float minimum = nearest(clamped(-group.fit.minimum * inverse_of(m), 0.0F, top_factor));
    float least = INFINITY;
    for (float s = scale - 1; s <= scale + 1; ++s) {
        for (float n = minimum - 1; n <= minimum + 1; ++n) {
            if (s < 0 || s > top_factor || n < 0 || n > top_factor) continue;
            const float error = error_of(group, d * s, m * n);
            if (!(error < least)) continue;
            least = error;
            group.scale_factor = s;
            group.minimum_factor = n;
        }
    }
    return least;
}

float choose_all_factors(Block& block) {
    float error = 0;
    for (Group& group : block.groups)
        error += choose_factors(group, to_float(block.scale), to_float(block.minimum));
    return error;
}

// d and m by least squares over the codes and factors that were chosen. False if they do not determine them.
bool refit(Block& block) {
    double ss = 0, sn = 0, nn = 0, sx = 0, nx = 0;
    for (const Group& group : block.groups) {
        float codes[fit_group];
        round_codes(group.x, to_float(block.scale) * group.scale_factor,
                    to_float(block.minimum) * group.minimum_factor, codes);
        for (std::size_t i = 0; i < fit_group; ++i) {
            const double s = static_cast<double>(group.scale_factor) * codes[i];
            const double n = group.minimum_factor;
            const double w = group.weights[i];
            ss += w * s * s;
            sn += w * s * n;
            nn += w * n * n;
            sx += w * s * group.x[i];
            nx += w * n * group.x[i];
        }
    }
    const double determinant = ss * nn - sn * sn;  // of x ~ d * s - m * n
    if (!(determinant > 1e-9 * ss * nn)) return false;
    block.scale = to_half(static_cast<float>((sx * nn - nx * sn) / determinant));
    block.minimum = to_half(static_cast<float>((sx * sn - nx * ss) / determinant));
    return to_float(block.scale) > 0.0F && to_float(block.minimum) >= 0.0F && is_finite(block.scale) &&
           is_finite(block.minimum);
}

bool fit_block(const float* x, Block& block) {
    float scale = 0, minimum = 0;
    for (Group& group : block.groups) {
        group.x = x;
        x += fit_group;
        if (!fit_weights(group.x, group.weights)) return false;
        group.fit = fit_with_minimum(group.x, group.weights, true);
        scale = group.fit.scale > scale ? group.fit.scale : scale;
        minimum = -group.fit.minimum > minimum ? -group.fit.minimum : minimum;
    }
    block.scale = to_half(scale / top_factor);
    block.minimum = to_half(minimum / top_factor);
    if (!is_finite(block.scale) || !is_finite(block.minimum)) return false;
    const float error = choose_all_factors(block);
    Block again = block;
    if (refit(again) && choose_all_factors(again) < error) block = again;
    return true;
}

// 12 bytes of eight 6-bit scales and eight 6-bit minimums: the first four of each whole, the upper two bits
// of the others on top of them.
void store_factors(const Block& block, std::byte* out) {
    for (std::size_t i = 0; i < 4; ++i) {
        const auto scale = static_cast<unsigned>(block.groups[i].scale_factor);
        const auto minimum = static_cast<unsigned>(block.groups[i].minimum_factor);
        const auto later_scale = static_cast<unsigned>(block.groups[i + 4].scale_factor);
        const auto later_minimum = static_cast<unsigned>(block.groups[i + 4].minimum_factor);
        out[i] = static_cast<std::byte>(scale | later_scale >> 4 << 6);
        out[i + 4] = static_cast<std::byte>(minimum | later_minimum >> 4 << 6);
        out[i + 8] = static_cast<std::byte>((later_scale & 15) | (later_minimum & 15) << 4);
    }
}

void store_block(const Block& block, std::byte* out) {
    store_half(out, block.scale);
    store_half(out + 2, block.minimum);
    store_factors(block, out + 4);
    for (std::size_t pair = 0; pair < num_groups / 2; ++pair) {
        float codes[2][fit_group];
        for (std::size_t i = 0; i < 2; ++i) {
            const Group& group = block.groups[2 * pair + i];
            round_codes(group.x, to_float(block.scale) * group.scale_factor,
                        to_float(block.minimum) * group.minimum_factor, codes[i]);
        }
        for (std::size_t i = 0; i < fit_group; ++i)
            out[16 + 32 * pair + i] = static_cast<std::byte>(static_cast<unsigned>(codes[0][i]) |
                                                             static_cast<unsigned>(codes[1][i]) << 4);
    }
}

}  // namespace

bool quantize_q4_k(const float* x, std::size_t columns, std::byte* out) {
    bool good = true;
    for (std::size_t b = 0; b < columns / q4_k_columns; ++b, x += q4_k_columns, out += q4_k_bytes) {
        Block block;
        if (fit_block(x, block)) {
            store_block(block, out);
        } else {
            good = false;
            std::memset(out, 0, q4_k_bytes);
            store_half(out, not_a_number);
        }
    }
    return good;
}

}  // namespace troupe
