#include "model/rope.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace troupe {
namespace {

// Long wavelengths are stretched by `factor`, short ones kept, those between blended.
double scale_llama3(const RopeSpec& rope, double frequency) {
    const double wavelength = 2.0 * std::numbers::pi / frequency;
    const double turns = rope.original_max_position / wavelength;
    if (turns < rope.low_freq_factor) return frequency / rope.factor;
    if (turns > rope.high_freq_factor) return frequency;
    const double kept = (turns - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
    return (1.0 - kept) * frequency / rope.factor + kept * frequency;
}

}  // namespace

std::vector<double> rope_frequencies(const RopeSpec& rope, std::size_t head_dim) {
    const std::size_t rotated = rope.rotated == 0 ? head_dim : rope.rotated;
    std::vector<double> frequencies(rotated / 2);
    for (std::size_t i = 0; i < frequencies.size(); ++i) {
        double frequency = std::pow(rope.theta, -2.0 * static_cast<double>(i) / static_cast<double>(rotated));
        if (rope.type == RopeType::linear) frequency /= rope.factor;
        if (rope.type == RopeType::llama3) frequency = scale_llama3(rope, frequency);
        if (!rope.divisors.empty()) frequency /= rope.divisors[i];
        frequencies[i] = frequency;
    }
    return frequencies;
}

RopeTable::RopeTable(const RopeSpec& rope, std::size_t head_dim)
    : frequencies_(rope_frequencies(rope, head_dim)), attention_factor_(rope.attention_factor) {}

void RopeTable::grow(std::size_t positions) {
    constexpr std::size_t step = 256;  // positions at a time
    std::size_t position = size();
    if (positions <= position) return;
    positions = (positions + step - 1) / step * step;
    cosines_.resize(positions * frequencies_.size());
    sines_.resize(cosines_.size());
    for (; position < positions; ++position) {
        for (std::size_t i = 0; i < frequencies_.size(); ++i) {
            const double angle = static_cast<double>(position) * frequencies_[i];
            cosines_[position * frequencies_.size() + i] =
                static_cast<float>(std::cos(angle) * attention_factor_);
            sines_[position * frequencies_.size() + i] =
                static_cast<float>(std::sin(angle) * attention_factor_);
        }
    }
}

}  // namespace troupe
