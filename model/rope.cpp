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

// NTK-aware: a base that stretches the longest wavelength by as much as the sequence is too long.
double stretched_base(const RopeSpec& rope, double rotated, std::size_t length) {
    const double longer = static_cast<double>(length) / rope.original_max_position;
    if (longer <= 1.0 || rotated <= 2.0) return rope.theta;
    return rope.theta * std::pow(rope.factor * longer - (rope.factor - 1.0), rotated / (rotated - 2.0));
}

// NTK by parts: pairs that turn often within the original context are kept, slow ones divided by the factor,
// those on the ramp between them blended.
class YarnRamp {
  public:
    YarnRamp(const RopeSpec& rope, double rotated) {
        const auto pair_with = [&](double turns) {
            return rotated * std::log(rope.original_max_position / (turns * 2.0 * std::numbers::pi)) /
                   (2.0 * std::log(rope.theta));
        };
        low_ = pair_with(rope.beta_fast);
        high_ = pair_with(rope.beta_slow);
        if (rope.truncate) {
            low_ = std::floor(low_);
            high_ = std::ceil(high_);
        }
        low_ = std::max(low_, 0.0);
        high_ = std::min(high_, rotated - 1.0);
        if (low_ == high_) high_ += 0.001;
    }
    double divided(std::size_t pair) const {
        return std::clamp((static_cast<double>(pair) - low_) / (high_ - low_), 0.0, 1.0);
    }

  private:
    double low_, high_;
};

}  // namespace

std::vector<double> rope_frequencies(const RopeSpec& rope, std::size_t head_dim, std::size_t length) {
    const std::size_t rotated = rope.rotated == 0 ? head_dim : rope.rotated;
    const auto dimensions = static_cast<double>(rotated);
    const double base =
        rope.type == RopeType::dynamic ? stretched_base(rope, dimensions, length) : rope.theta;
    const bool is_long = rope.type == RopeType::longrope && length > rope.original_max_position;
    const std::vector<float>& divisors = is_long ? rope.long_divisors : rope.divisors;
    std::vector<double> frequencies(rotated / 2);
    for (std::size_t i = 0; i < frequencies.size(); ++i) {
        double frequency = std::pow(base, -2.0 * static_cast<double>(i) / dimensions);
        if (rope.type == RopeType::linear) frequency /= rope.factor;
        if (rope.type == RopeType::llama3) frequency = scale_llama3(rope, frequency);
        if (rope.type == RopeType::yarn) {
            const double divided = YarnRamp(rope, dimensions).divided(i);
            frequency = frequency * (1.0 - divided) + frequency / rope.factor * divided;
        }
        if (!divisors.empty()) frequency /= divisors[i];
        frequencies[i] = frequency;
    }
    return frequencies;
}

std::string rope_dependence(const std::vector<RopeSpec>& ropes, std::size_t prompt_length) {
    std::string dependence;
    for (const RopeSpec& rope : ropes) {
        if (prompt_length <= rope.original_max_position) continue;
        if (rope.type == RopeType::longrope) dependence += "long,";
        if (rope.type == RopeType::dynamic) dependence += std::to_string(prompt_length) + ",";
    }
    return dependence;
}

RopeTable::RopeTable(const RopeSpec& rope, std::size_t head_dim, std::size_t length)
    : frequencies_(rope_frequencies(rope, head_dim, length)), attention_factor_(rope.attention_factor) {}

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

RopeAngles::RopeAngles(const RopeSpec& rope, std::size_t head_dim)
    : rope_(rope),
      head_dim_(head_dim),
      table_(rope, head_dim),
      long_table_(rope, head_dim, std::size_t{rope.original_max_position} + 1) {}

void RopeAngles::begin(const ForwardBatch& batch) {
    tokens_.resize(batch.positions.size());
    const auto last = *std::max_element(batch.positions.begin(), batch.positions.end());
    table_.grow(static_cast<std::size_t>(last) + 1);
    for (std::size_t token = 0; token < tokens_.size(); ++token) {
        const auto position = static_cast<std::size_t>(batch.positions[token]);
        tokens_[token] = {table_.cosines(position), table_.sines(position)};
    }
    if (rope_.type != RopeType::dynamic && rope_.type != RopeType::longrope) return;
    if (rope_.type == RopeType::longrope) {
        long_table_.grow(static_cast<std::size_t>(last) + 1);
    } else {
        stretched_.resize(tokens_.size() * rotated());
    }
    for (std::size_t row = 0; row < batch.context_lens.size(); ++row) begin_row(batch, row);
}

void RopeAngles::begin_row(const ForwardBatch& batch, std::size_t row) {
    const auto prompt = static_cast<std::size_t>(batch.prompt_lens.empty() ? batch.context_lens[row]
                                                                           : batch.prompt_lens[row]);
    std::vector<double> frequencies;
    std::size_t length_before = 0;  // that they are of
    for (auto token = static_cast<std::size_t>(batch.query_start[row]);
         token < static_cast<std::size_t>(batch.query_start[row + 1]); ++token) {
        const auto position = static_cast<std::size_t>(batch.positions[token]);
        if (rope_.type == RopeType::longrope) {
            if (prompt > rope_.original_max_position)
                tokens_[token] = {long_table_.cosines(position), long_table_.sines(position)};
            continue;
        }
        const std::size_t length = std::max(prompt, position + 1);
        if (length <= rope_.original_max_position) continue;
        if (length != length_before) frequencies = rope_frequencies(rope_, head_dim_, length);
        length_before = length;
        tokens_[token] = stretched(token, position, frequencies);
    }
}

RopeAngles::Pairs RopeAngles::stretched(std::size_t token, std::size_t position,
                                        const std::vector<double>& frequencies) {
    float* cosines = &stretched_[token * rotated()];
    float* sines = cosines + frequencies.size();
    for (std::size_t i = 0; i < frequencies.size(); ++i) {
        const double angle = static_cast<double>(position) * frequencies[i];
        cosines[i] = static_cast<float>(std::cos(angle));
        sines[i] = static_cast<float>(std::sin(angle));
    }
    return {cosines, sines};
}

}  // namespace troupe
